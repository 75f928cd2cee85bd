import pytest
import torch

from searchspace.candidate import Candidate
from trainers import memory
from trainers.memory import free_memory, images_that_fit, in_passes_that_fit, smaller_pass

CPU = torch.device("cpu")
# Stage 1 of the micro model has 8 x 8 tokens at 16 px, and one head: 4 * 64^2 = 16,384 bytes.
CSKA = Candidate.parse("caformer_micro-cska.h1-dwconv-attn-attn")


@pytest.mark.parametrize(("images", "half"), [(128, 64), (7, 3), (1, None)])
def test_a_smaller_pass_is_half_as_large(images, half):
    assert smaller_pass(images) == half


def test_passes_are_halved_until_they_fit():
    tried = []

    def run(images):
        tried.append(images)
        if images > 3:
            raise torch.OutOfMemoryError("full")
        return "done"

    assert in_passes_that_fit(run, 16) == "done"
    assert tried == [16, 8, 4, 2]


def test_one_image_that_does_not_fit_is_an_error_in_one_line():
    def run(images):
        raise torch.OutOfMemoryError("tried to allocate 43 GB\nmore")

    with pytest.raises(ValueError, match=r"^one image at a time does not fit into memory: tried to allocate 43 GB$"):
        in_passes_that_fit(run, 4)


def test_other_errors_are_not_tried_again():
    def run(images):
        raise RuntimeError("shapes")

    with pytest.raises(RuntimeError, match="shapes"):
        in_passes_that_fit(run, 4)


@pytest.mark.parametrize(("maps", "fitting"), [(100, 16), (16, 16), (15.9, 8), (1, 1)])
def test_maps_of_so_many_images_fit(monkeypatch, maps, fitting):
    monkeypatch.setattr(memory, "free_memory", lambda device: maps * 3 * 16_384)
    assert images_that_fit(CSKA, 16, images=16, device=CPU) == fitting


def test_a_map_that_does_not_fit_once_is_refused(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda device: 2 * 16_384)
    with pytest.raises(ValueError, match=r"at 16 px: the attention map of one image and layer takes 0\.0 GB"):
        images_that_fit(CSKA, 16, images=16, device=CPU)


def test_without_a_map_all_images_fit(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda device: 0)
    candidate = Candidate.parse("caformer_micro-cska.nosoftmax-dwconv-ska-attn")
    assert images_that_fit(candidate, 32, images=16, device=CPU) == 16


def test_a_container_may_have_less_than_the_machine(tmp_path):
    (tmp_path / "memory.max").write_text("5000\n")
    (tmp_path / "memory.current").write_text("2000\n")
    assert memory._free_in_container(tmp_path) == 3000
    (tmp_path / "memory.stat").write_text("anon 1500\ninactive_file 500\nactive_file 0\n")
    assert memory._free_in_container(tmp_path) == 3500  # files that were read make room
    (tmp_path / "memory.max").write_text("max\n")
    assert memory._free_in_container(tmp_path) == float("inf")
    assert memory._free_in_container(tmp_path / "absent") == float("inf")
    assert 0 < free_memory(CPU) < 2**50
