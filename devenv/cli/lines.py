"""A line of a log as it is printed: for a person, with its part's colour on a terminal, or as JSON. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import cycle

from devenv.kube.logs import Line, Source
from devenv.kube.objects import Id
from devenv.system.masking import masked

COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)  # of ANSI (ECMA-48); red is left to those who print an error
END = "\x1b[0m"


def colours(parts: tuple[Id, ...]) -> Mapping[Id, int]:
    """Return a colour for each part; parts have the same whenever the same are there."""
    return dict(zip(parts, cycle(COLOURS), strict=False))


@dataclass
class Rendering:
    """Renders lines. Their labels are as wide as the widest so far."""

    colours: Mapping[Id, int] = field(default_factory=dict)  # none where no colour is wanted
    _labels: dict[Source, str] = field(default_factory=dict)
    _width: int = 0

    def text(self, line: Line, said: str) -> str:
        """Return a line for a person, whose text without passwords is `said`."""
        label = self._labels.get(line.source)
        if label is None:
            label = self._label(line.source)
        # What a program has coloured and not ended must not colour what follows.
        end = END if self.colours and "\x1b" in said else ""
        return f"{label} {said}{end}\n"

    def _label(self, source: Source) -> str:
        if len(source.label) > self._width:
            self._width = len(source.label)
            self._labels.clear()
        label = f"{source.label.ljust(self._width)} |"
        if colour := self.colours.get(source.part):
            label = f"\x1b[{colour}m{label}{END}"
        self._labels[source] = label
        return label


def as_json(line: Line, said: str) -> str:
    source = line.source
    value = {
        "time": line.time, "part": str(source.part), "namespace": source.pod.namespace, "pod": source.pod.name,
        "container": source.container, "previous": source.previous, "text": said,
    }  # fmt: skip
    return f"{json.dumps(value)}\n"


def said(line: Line) -> str:
    """Return the text of a line without passwords."""
    return masked(line.text)
