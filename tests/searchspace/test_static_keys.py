"""SKA and CSKA against a plain transcription of the paper's equations, and cases that can be solved by hand."""

import pytest
import torch
import torch.nn.functional as F

from searchspace.static_keys import CSKA, SKA, StaticKeyMixer

GRIDS = [(4, 4), (3, 5), (9, 8)]


def by_the_equations(mixer, x):
    """Section 4: logits of every query and key, softmax over keys, times v, projected."""
    B, N, _ = x.shape
    h, d = mixer.num_heads, mixer.head_dim
    q_weight, v_weight = mixer.qv.weight.chunk(2) if mixer.query else (None, mixer.v.weight)
    q = (x if q_weight is None else x @ q_weight.mT).view(B, N, h, d)
    v = (x @ v_weight.mT).view(B, N, h, d)
    if isinstance(mixer, SKA):
        logits = torch.einsum("bqhd,hkd->bhqk", q, mixer.key.reshape(h, N, d))
    else:
        k = mixer.kernel_size
        around = F.unfold(q.reshape(B, *mixer.grid, h * d).permute(0, 3, 1, 2), k, padding=k // 2)
        keys = mixer.weight.reshape(h, N, d * k**2)
        logits = torch.einsum("bhcq,hkc->bhqk", around.view(B, h, d * k**2, N), keys)
        logits = logits if mixer.bias is None else logits + mixer.bias.reshape(h, 1, N)
    logits = logits * mixer.scale
    weights = logits.softmax(-1) if mixer.softmax else logits
    return torch.einsum("bhqk,bkhd->bqhd", weights, v).reshape(B, N, h * d) @ mixer.proj.weight.mT


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("softmax", [True, False])
@pytest.mark.parametrize("cls", [SKA, CSKA])
def test_forward_and_backward_follow_the_equations(cls, softmax, scale, grid):
    assert_agrees(cls(12, 2, grid, scale=scale, softmax=softmax, key_std=0.3))


@pytest.mark.parametrize("softmax", [True, False])
@pytest.mark.parametrize(
    "switches",
    [{"head_dim": 5}, {"query": False}, {"kernel_size": 1}, {"kernel_size": 5}, {"bias": False}, {"head_dim": 1}],
    ids=str,
)
def test_every_switch_follows_the_equations(switches, softmax):
    for cls in (CSKA,) if {"kernel_size", "bias"} & switches.keys() else (SKA, CSKA):
        assert_agrees(cls(12, 2, (4, 6), softmax=softmax, key_std=0.3, **switches))


def assert_agrees(mixer):
    """Outputs and gradients equal those of the equations."""
    torch.manual_seed(0)
    grid = mixer.grid
    if getattr(mixer, "bias", None) is not None:
        torch.nn.init.normal_(mixer.bias)
    x = torch.randn(3, grid[0] * grid[1], 12, requires_grad=True)
    inputs = [x, *mixer.parameters()]
    ours, theirs = mixer(x), by_the_equations(mixer, x)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    direction = torch.randn_like(ours)
    for name, a, b in zip(
        ["x", *dict(mixer.named_parameters())],
        torch.autograd.grad(ours, inputs, direction, retain_graph=True),
        torch.autograd.grad(theirs, inputs, direction),
        strict=True,
    ):
        size = b.abs().max().clamp(min=1)
        torch.testing.assert_close(a / size, b / size, atol=1e-5, rtol=1e-5, msg=lambda text, n=name: f"{n}: {text}")


@pytest.mark.parametrize("cls", [SKA, CSKA])
def test_equal_keys_give_the_mean_of_the_values(cls):
    mixer = cls(8, 2, (2, 3))
    for name in cls.per_key:
        torch.nn.init.zeros_(getattr(mixer, name))
    x = torch.randn(2, 6, 8)
    mean = mixer.proj(mixer.queries_and_values(x)[1].mean(1, keepdim=True)).expand(2, 6, 8)
    torch.testing.assert_close(mixer(x), mean)


def test_parameters_are_those_of_table_6():
    N, D, h = 12, 8, 2
    assert sum(p.numel() for p in SKA(D, h, (3, 4)).parameters()) == N * D + 3 * D**2
    # Table 6 leaves out the convolution's bias, one number for each head and key.
    assert sum(p.numel() for p in CSKA(D, h, (3, 4)).parameters()) == 9 * N * D + 3 * D**2 + h * N


@pytest.mark.parametrize("cls", [SKA, CSKA])
def test_another_number_of_tokens_is_refused(cls):
    with pytest.raises(ValueError, match="9 tokens, expected the 2 x 2 grid"):
        cls(8, 2, (2, 2))(torch.randn(1, 9, 8))


def test_a_query_that_is_the_input_needs_its_width():
    with pytest.raises(ValueError, match="without q, 2 heads of 3 must make 8 channels"):
        SKA(8, 2, (2, 2), head_dim=3, query=False)


def test_heads_must_divide_the_channels():
    with pytest.raises(ValueError, match="8 channels do not divide into 3 heads"):
        SKA(8, 3, (2, 2))


@pytest.mark.parametrize("softmax", [True, False])
@pytest.mark.parametrize("cls", [SKA, CSKA])
def test_keys_constant_over_the_grid_keep_the_output_at_another_size(cls, softmax):
    """Constant keys stay constant when resized, so constant tokens give the same output on any grid."""
    torch.manual_seed(0)
    small, large = cls(8, 2, (4, 4), softmax=softmax), cls(8, 2, (6, 8), softmax=softmax)
    with torch.no_grad():
        for name in small.per_key:
            parameter = getattr(small, name)
            parameter.copy_(parameter[:, :1, :1].expand_as(parameter))
    large.load_state_dict(small.state_dict())
    token = torch.randn(1, 1, 8)
    middle_small, middle_large = 1 * 4 + 1, 2 * 8 + 3  # away from the border, which a convolution sees
    out_small, out_large = small(token.expand(1, 16, 8)), large(token.expand(1, 48, 8))
    torch.testing.assert_close(out_large[0, middle_large], out_small[0, middle_small], atol=1e-5, rtol=1e-4)


def test_keys_of_other_heads_are_refused_by_name():
    with pytest.raises(RuntimeError, match="size mismatch for key"):
        SKA(8, 2, (4, 4)).load_state_dict(SKA(8, 4, (3, 3)).state_dict())


def test_resizing_is_that_of_timm_position_embeddings():
    from timm.layers import resample_abs_pos_embed

    small, large = SKA(8, 1, (4, 4)), SKA(8, 1, (7, 5))
    large.load_state_dict(small.state_dict())
    theirs = resample_abs_pos_embed(small.key.detach().view(1, 16, 8), [7, 5], [4, 4], num_prefix_tokens=0)
    torch.testing.assert_close(large.key.detach().view(1, 35, 8), theirs)


def test_loading_at_the_same_size_changes_nothing():
    one, other = CSKA(8, 2, (3, 4)), CSKA(8, 2, (3, 4))
    other.load_state_dict(one.state_dict())
    assert torch.equal(one.weight, other.weight)


@pytest.mark.parametrize("switches", [{}, {"kernel_size": 5, "bias": False}, {"head_dim": 3}], ids=str)
def test_a_product_with_patches_is_the_convolution_of_each_image(switches):
    """GPUs and exports take the product where a CPU takes the convolution of B * h groups."""
    torch.manual_seed(0)
    mixer = CSKA(12, 2, (4, 6), softmax=False, **switches).double()
    images, heads, dim = 3, mixer.num_heads, mixer.head_dim
    q_BDHW = torch.randn(images, heads * dim, 4, 6, dtype=torch.double, requires_grad=True)
    area = mixer.kernel_size**2
    kernel_BhdP = torch.randn(images, heads, dim, dim * area, dtype=torch.double, requires_grad=True)
    by_product = mixer._convolve_patches(q_BDHW, kernel_BhdP)
    by_convolution = F.conv2d(
        q_BDHW.reshape(1, -1, 4, 6),
        kernel_BhdP.view(-1, dim, mixer.kernel_size, mixer.kernel_size),
        padding=mixer.kernel_size // 2,
        groups=images * heads,
    )
    by_convolution = by_convolution.view(images, heads, dim, 24).mT
    torch.testing.assert_close(by_product, by_convolution)
    direction = torch.randn_like(by_product)
    torch.testing.assert_close(
        torch.autograd.grad(by_product, [q_BDHW, kernel_BhdP], direction),
        torch.autograd.grad(by_convolution, [q_BDHW, kernel_BhdP], direction),
    )


@pytest.mark.parametrize("cls", [SKA, CSKA])
def test_two_matrices_of_older_weights_are_joined(cls):
    mixer, other = cls(8, 2, (3, 4)), cls(8, 2, (3, 4))
    older = mixer.state_dict()
    older["q.weight"], older["v.weight"] = older.pop("qv.weight").chunk(2)
    other.load_state_dict(older)
    x = torch.randn(2, 12, 8)
    assert torch.equal(other(x), mixer(x))


def test_one_matrix_is_drawn_as_two_in_a_row():
    torch.manual_seed(0)
    mixer = SKA(8, 2, (3, 4))
    torch.manual_seed(0)
    two = [torch.nn.Linear(8, 8, bias=False).weight for _ in range(2)]
    assert torch.equal(mixer.qv.weight, torch.cat(two))


def test_the_base_class_is_no_mixer():
    with pytest.raises(TypeError, match="StaticKeyMixer is not a token mixer: use SKA or CSKA"):
        StaticKeyMixer(8, 2, (2, 2))(torch.zeros(1, 4, 8))
