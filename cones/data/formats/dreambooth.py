"""DreamBooth: one folder of pictures per subject, and prompts_and_classes.txt with class words and prompts.

There is nothing to detect here: a record is a picture without objects. What generation needs, the subjects with their
class words, pictures and prompts, is what `describe` returns; it becomes `generation` in the manifest.
"""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

from cones.data.files import files_below, is_hidden, plain
from cones.data.formats.records import NativeFiles, Record
from cones.runtime.errors import closest
from cones.runtime.strict import Strict

FORMAT = {"name": "dreambooth"}
VERSION = 1
SPLIT = "train"  # every picture is for learning its subject
SECTIONS = {"Classes": "classes", "Object Prompts": "object", "Live Subject Prompts": "live"}
log = logging.getLogger(__name__)
PROMPT = re.compile(r"""^(['"])(?P<prompt>.*)\1\.format\(unique_token, class_token\),?$""")


class Parameters(Strict):
    root: str = "dataset"  # folder under raw/ that holds the subjects' folders
    prompts: str = "prompts_and_classes.txt"
    live_classes: tuple[str, ...] = ("cat", "dog")  # class words that get the live-subject prompts
    suffixes: tuple[str, ...] = (".jpg", ".jpeg", ".png")


def convert(native: NativeFiles, parameters: Parameters) -> Iterator[Record]:
    """One record per picture, `item_id` = `<subject>/<stem>`; subjects are the registry's classes, all of which must be
    there. Folders of further subjects are left out, counted, and listed in one line of the log."""
    _list_others(native, parameters)
    for subject, pictures in _pictures(native, parameters).items():
        for picture in pictures:
            yield Record(_item(subject, picture), native.relative(picture), (), split=SPLIT)


def describe(native: NativeFiles, parameters: Parameters) -> dict:
    """`{"subjects": {name: {class_word, prompts, images}}, "prompts": {"object": […], "live": […]}}`.

    A subject's `prompts` names its list; `images` are relative to raw/. A prompt holds {0} (the subject's unique token)
    and {1} (its class word).
    """
    words, prompts = _read_prompts(native, parameters)
    subjects = {
        subject: {
            "class_word": words[subject],
            "prompts": "live" if words[subject] in parameters.live_classes else "object",
            "images": [native.relative(picture) for picture in pictures],
        }
        for subject, pictures in _pictures(native, parameters).items()
    }
    return {"subjects": subjects, "prompts": prompts}


def _pictures(native: NativeFiles, parameters: Parameters) -> dict[str, list[Path]]:
    root, folders = native.root(parameters.root), _folders(native, parameters)
    found = {}
    for subject in native.classes:
        folder = folders.get(subject)
        found[subject] = (
            [
                path
                for path in files_below(folder, parameters.suffixes, deep=False)
                if not native.skips(_item(subject, path))
            ]
            if folder
            else []
        )
        if not found[subject]:
            others = [name for name in folders if name not in native.classes]
            guess = closest(subject, others) if not folder and others else ""
            hint = f"{guess} " if guess.startswith("did you mean") else ""
            raise native.fault(
                f'no picture of subject "{subject}"',
                root / subject,
                expected=f"files ending in {', '.join(parameters.suffixes)}",
                found="a folder without any" if folder else f"folders {', '.join(sorted(folders)) or 'of no subject'}",
                next_step=hint + native.mend(f"take the subject out of `classes` in {native.registry}"),
            )
    return found


def _item(subject: str, picture: Path) -> str:
    return f"{subject}/{picture.stem}"


def _folders(native: NativeFiles, parameters: Parameters) -> dict[str, Path]:
    """`{subject: folder}` of all subjects that are there."""
    root = native.root(parameters.root)
    return {plain(path.name): path for path in sorted(root.iterdir()) if path.is_dir() and not is_hidden(path.name)}


def _list_others(native: NativeFiles, parameters: Parameters) -> None:
    others = {name: path for name, path in _folders(native, parameters).items() if name not in native.classes}
    for path in others.values():
        native.note("a subject that `classes` does not name, left out", path)
    if others:
        log.info("dataset %s: %d subjects left out: %s", native.dataset_id, len(others), ", ".join(others))


def _read_prompts(native: NativeFiles, parameters: Parameters) -> tuple[dict[str, str], dict[str, list[str]]]:
    """`{subject: class word}` and the two prompt lists of the text file, each line checked."""
    file = native.root(parameters.root) / parameters.prompts
    if not file.is_file():
        raise native.fault("the file of class words and prompts is missing", file, next_step=native.mend())
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise native.fault("not text", file, found=error, next_step=native.mend()) from None
    words: dict[str, str] = {}
    prompts: dict[str, list[str]] = {"object": [], "live": []}
    section = None
    for number, line in enumerate((line.strip() for line in lines), start=1):
        if line in SECTIONS:
            section = SECTIONS[line]
        elif section == "classes" and "," in line and line != "subject_name,class":
            subject, word = line.split(",", 1)
            words[subject.strip()] = word.strip()
        elif section in prompts and line.startswith(("'", '"')):
            prompts[section].append(_prompt(line, number, file, native))
    _check(words, prompts, file, native)
    return words, prompts


def _prompt(line: str, number: int, file: Path, native: NativeFiles) -> str:
    match = PROMPT.match(line)
    prompt = match["prompt"] if match else ""
    if sorted(re.findall(r"\{.*?\}", prompt)) != ["{0}", "{1}"]:
        raise native.fault(
            f"line {number} is no prompt",
            file,
            expected="'… {0} {1} …'.format(unique_token, class_token)",
            found=line,
            next_step=native.mend("correct the line"),
        )
    return prompt


def _check(words: dict[str, str], prompts: dict[str, list[str]], file: Path, native: NativeFiles) -> None:
    if missing := [subject for subject in native.classes if not words.get(subject)]:
        raise native.fault(
            f'no class word for subject "{missing[0]}"',
            file,
            expected="a line `subject,class` under Classes",
            next_step=native.mend("add the line"),
        )
    if empty := [kind for kind, found in prompts.items() if not found]:
        heading = next(title for title, kind in SECTIONS.items() if kind == empty[0])
        raise native.fault(f"no prompt under {heading}", file, next_step=native.mend("complete the file"))
