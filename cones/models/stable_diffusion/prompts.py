"""What is said of a subject: the training templates of textual inversion, and DreamBooth's prompts per subject."""

from importlib import resources

# the 27 short sentences for objects of the public textual-inversion protocol
TEMPLATES = tuple(resources.files(__package__).joinpath("templates.txt").read_text(encoding="utf-8").splitlines())
CLASS_PROMPT = "a photo of a {}"


def editing_prompts(generation: dict, subject: str) -> list[str]:
    """The 25 prompts of a subject as the prompt file has them, `{0}` the identifier and `{1}` the class noun.

    `generation` is that entry of the dataset's manifest.
    """
    return list(generation["prompts"][generation["subjects"][subject]["prompts"]])


def without_identifier(prompt: str, class_word: str = "{}") -> str:
    """`a {0} {1} in the snow` -> `a dog in the snow`, or the template `a {} in the snow`.

    The template is what every method draws: its class noun, pseudo-words or concept embeddings stand for identifier and
    noun. The text with the noun is what CLIP-T compares with.
    """
    return " ".join(prompt.format("", class_word).split())
