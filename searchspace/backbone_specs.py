"""The sizes of the backbones that candidates put token mixers into: depths, widths and stems. No torch here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Backbone:
    """A MetaFormer without its token mixers (arXiv 2210.13452, table 1). Tuples have an entry for each stage."""

    name: str
    depths: tuple[int, ...]  # blocks
    dims: tuple[int, ...]  # channels
    head_dim: int = 32
    stem: tuple[int, int, int] = (7, 4, 2)  # kernel, stride and padding in pixels

    @property
    def num_heads(self) -> list[int]:
        """Attention heads of each stage, for mixers that do not name another number."""
        return [dim // self.head_dim for dim in self.dims]

    def grids(self, img_size: int | tuple[int, int]) -> list[tuple[int, int]]:
        """The token grid (height, width) of each stage for images of `img_size` pixels: a side, or (height, width).

        ValueError if the stem leaves no token.
        """
        if isinstance(img_size, int):
            img_size = (img_size, img_size)
        height, width = img_size
        rows = self._after_stem(height)
        columns = self._after_stem(width)
        if min(rows, columns) < 1:
            raise ValueError(f"{height} x {width} pixels are too few for the stem of {self.name}")
        grids = []
        for _ in self.dims:
            grids.append((rows, columns))
            rows = (rows + 1) // 2
            columns = (columns + 1) // 2
        return grids

    def _after_stem(self, pixels: int) -> int:
        kernel, stride, padding = self.stem
        return (pixels + 2 * padding - kernel) // stride + 1


BACKBONES = {
    spec.name: spec
    for spec in (
        Backbone(
            "caformer_s18",
            depths=(3, 3, 9, 3),
            dims=(64, 128, 320, 512),
        ),
        Backbone(
            "caformer_b36",
            depths=(3, 12, 18, 3),
            dims=(128, 256, 512, 768),
        ),
        # Ours, for images of 32 pixels: a stem of stride 2 leaves 16, 8, 4 and 2 tokens a side.
        Backbone(
            "caformer_micro",
            depths=(1, 1, 2, 1),
            dims=(16, 32, 64, 96),
            head_dim=16,
            stem=(3, 2, 1),
        ),
    )
}
