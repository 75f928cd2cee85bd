"""Token mixers that a test registers, and a file that registers one as users do."""

from collections.abc import Iterator
from contextlib import contextmanager

from searchspace.mixers import MIXER_CLASSES
from searchspace.switches import MIXERS

POOLING = """
from torch import nn
from searchspace.mixers import register_mixer
from searchspace.spaces import SearchSpace


@register_mixer("pool")
class Pool(nn.Module):
    def __init__(self, dim, **kwargs):
        super().__init__()
        self.mean = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)

    def forward(self, x):
        return self.mean(x) - x


SPACE = SearchSpace("pooling", choices=(("dwconv", "pool"), ("pool", "cska"), ("attn",), ("attn",)))
"""


@contextmanager
def mixers_forgotten() -> Iterator[None]:
    """Mixers that are registered inside are unknown again afterwards."""
    names = dict(MIXERS)
    classes = dict(MIXER_CLASSES)
    try:
        yield
    finally:
        MIXERS.clear()
        MIXERS.update(names)
        MIXER_CLASSES.clear()
        MIXER_CLASSES.update(classes)
