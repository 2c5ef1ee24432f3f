"""What is said of a subject: the training templates of textual inversion, and DreamBooth's prompts per subject."""

from importlib import resources

# the 27 short sentences for objects of the public textual-inversion protocol
TEMPLATES = tuple(resources.files(__package__).joinpath("templates.txt").read_text(encoding="utf-8").splitlines())
CLASS_PROMPT = "a photo of a {}"


def class_prompt(class_word: str) -> str:
    """What class-name prompting says on the reconstruction track."""
    return CLASS_PROMPT.format(class_word)


def editing_prompts(generation: dict, subject: str) -> list[str]:
    """The 25 prompts of a subject as the prompt file has them, `{0}` the identifier and `{1}` the class noun.

    `generation` is that entry of the dataset's manifest.
    """
    return list(generation["prompts"][generation["subjects"][subject]["prompts"]])


def without_identifier(prompt: str, class_word: str) -> str:
    """`a {0} {1} in the snow` -> `a dog in the snow`: for class-name prompting, and for CLIP-T."""
    return " ".join(prompt.format("", class_word).split())


def with_pseudo_words(prompt: str, pseudo_words: str) -> str:
    """`a {0} {1} in the snow` -> `a S* in the snow`: pseudo-words stand for identifier and noun."""
    return " ".join(prompt.format(pseudo_words, "").split())
