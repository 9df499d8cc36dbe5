"""Methods of tensors under PyTorch's names: value, gradient, dtype and refusal, each expression in both libraries."""

from __future__ import annotations

import copy
import pickle
import re
from types import SimpleNamespace

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.tape.current import rotate
from tapegrad.tape.state import local


@pytest.fixture(params=[True, False], ids=["deferred", "immediate"], autouse=True)
def deferral(request):
    rotate(local.state)
    before = tg.set_deferral(request.param)
    yield request.param
    tg.set_deferral(before)


DATA = {
    "x": np.array([[0.3, -1.2, 0.7], [0.9, 0.2, -0.4]]),
    "v": np.array([0.5, -0.25, 0.8]),
    "m": np.array([[2.0, 0.3, -0.1], [0.4, 1.5, 0.2], [-0.3, 0.1, 1.1]]),
    "s": np.array(0.6),
    "p": np.array([[0.2, 0.5, 0.9], [0.7, 0.4, 0.1]]),
    "t": np.sin(np.arange(24.0)).reshape(2, 3, 4),
}
PLAIN = {
    "i": np.array([2, 0]),
    "j": np.array([[0, 2], [1, 0]]),
    "k": np.array([[0, 1, 0]]),
    "b": np.array([[True, False, True], [False, False, True]]),
    "n": np.array([[5, -3, 2], [7, 4, -1]]),
}


def ours():
    leaves = {name: tg.tensor(a, requires_grad=True) for name, a in DATA.items()}
    return leaves, {name: tg.tensor(a) for name, a in PLAIN.items()}, tg


def theirs():
    torch = pytest.importorskip("torch", reason="the differential test needs PyTorch")
    leaves = {name: torch.tensor(a, requires_grad=True) for name, a in DATA.items()}
    return leaves, {name: torch.tensor(a) for name, a in PLAIN.items()}, torch


def flat(result):
    return [r for part in result for r in flat(part)] if isinstance(result, (tuple, list)) else [result]


BETA = pytest.mark.filterwarnings("ignore:index_reduce.. is in beta:UserWarning")


def outcome(library, program):
    """Values, dtypes and gradients of an expression or of statements that set ``r``; or its exception."""
    leaves, plain, lib = library
    names = {**leaves, **plain, "lib": lib, "inf": np.inf, "y": leaves["x"] * 1.0}
    try:
        if "r = " in program or "_(" in program:
            exec(program if "r = " in program else f"{program}\nr = y", names)
            result = names["r"]
        else:
            result = eval(program, names)
        parts = flat(result)
        tensors = [r for r in parts if hasattr(r, "detach")]
        moving = [r for r in tensors if r.requires_grad]
        values = [np.array(r.detach().numpy()) if hasattr(r, "detach") else np.asarray(r) for r in parts]
        if moving:
            total = sum((r * lib.full_like(r, 1.0 + 0.1 * k) * weights(lib, r)).sum() for k, r in enumerate(moving))
            total.backward()
    except Exception as error:
        return SimpleNamespace(error=error)
    gradients = {k: None if t.grad is None else np.array(t.grad.numpy()) for k, t in leaves.items()}
    return SimpleNamespace(
        error=None,
        values=values,
        gradients=gradients,
        requires=[r.requires_grad for r in tensors],
        versions=[r._version for r in tensors],
    )


def weights(lib, r):
    n = int(np.prod(tuple(r.shape)))
    return lib.tensor(np.cos(np.arange(1.0, n + 1))).reshape(tuple(r.shape)).to(r.dtype)


def assert_same(program):
    a, b = outcome(ours(), program), outcome(theirs(), program)
    assert (a.error is None) == (b.error is None), f"{program}: {a.error!r} and {b.error!r}"
    if b.error is not None:
        return a.error, b.error
    assert len(a.values) == len(b.values) and a.requires == b.requires
    for mine, its in zip(a.values, b.values, strict=True):
        assert mine.shape == its.shape
        assert mine.dtype == its.dtype
        np.testing.assert_allclose(mine, its, rtol=1e-9, atol=1e-12)
    for name, its in b.gradients.items():
        if its is None or (a.gradients[name] is None and not its.any() and comparison(program)):
            assert a.gradients[name] is None, name
        else:
            assert a.gradients[name] is not None, name
            np.testing.assert_allclose(a.gradients[name], its, rtol=1e-7, atol=1e-9, err_msg=name)
    return a, b


def comparison(program):
    """Whether an operand of the program has no gradient here, and zeros in PyTorch."""
    return any(word in program for word in ("lt_", "eq_"))


ELEMENTWISE = """
x.add(v); x.add(v, alpha=2.0); x.sub(v, alpha=3); x.subtract(1.0); x.mul(v); x.multiply(2); x.div(p); x.divide(2.0)
x.div(p, rounding_mode="floor"); x.div(p, rounding_mode="trunc"); x.true_divide(p); x.pow(3); p.pow(v); p.pow(2)
x.neg(); x.negative(); x.abs(); x.absolute(); x.exp(); x.exp2(); x.expm1(); p.log(); p.log2(); p.log10(); p.log1p()
p.sqrt(); p.rsqrt(); x.sin(); x.cos(); x.tan(); p.asin(); p.acos(); p.arcsin(); x.atan(); x.arctan(); x.sinh()
x.cosh(); x.tanh(); x.asinh(); (p + 1).acosh(); p.atanh(); x.ceil(); x.floor(); x.trunc(); x.fix(); x.frac()
x.square(); p.reciprocal(); x.sign(); x.isnan(); x.isinf(); x.isfinite(); x.signbit(); x.deg2rad(); x.rad2deg()
x.relu(); x.sigmoid(); x.logical_not(); n.bitwise_not(); n.bitwise_and(3); n.bitwise_or(n); x.positive()
n.bitwise_xor(3); x.atan2(v); x.maximum(v); x.minimum(v); x.fmax(v); x.fmin(v); x.hypot(p); x.copysign(v)
x.logaddexp(v); x.logaddexp2(v); x.eq(v); x.ne(v); x.lt(v); x.le(v); x.gt(v); x.ge(v); x.less(v); x.greater(v)
x.greater_equal(v); x.less_equal(v); x.not_equal(v); x.remainder(0.4); x.fmod(0.4); n.floor_divide(2); n.gcd(n)
x.logical_and(v); x.logical_or(v); x.logical_xor(v); x.clamp(-0.5, 0.5); x.clamp(min=0.1); x.clamp(max=0.1)
x.clamp_min(0.2); x.clamp_max(0.2); x.clip(0.0, 0.4); x.round(); x.lerp(p, 0.3); x.lerp(p, p); x.addcmul(p, v)
x.addcmul(p, v, value=2.0); x.addcdiv(v, p); x.addcdiv(v, p, value=0.5); x.sinc(); x.nan_to_num(); x.where(b, v)
x.masked_fill(b, 2.0); x.masked_fill(b, s); x.isclose(p); x.erf(); x.erfc(); x.erfinv() * 0 + p.erfinv(); p.lgamma()
p.digamma(); p.logit(); x.xlogy(p); x.i0(); x.float_power(2); x.clone(); x.contiguous(); x.double(); x.bool()
x.long(); n.double() * x; x.add(n); n.add(n); n.add(1); n.neg(); n.abs(); n.sum(); n.cumsum(dim=0)
n.bitwise_left_shift(2); n.bitwise_right_shift(1)
"""
REDUCTIONS = """
x.sum(); x.sum(0); x.sum(dim=1); x.sum(dim=(0, 1)); x.sum(dim=1, keepdim=True); x.sum(0, True); x.sum(dim=[0, 1])
x.sum(dim=()); x.prod(); x.prod(dim=1); x.mean(); x.mean(dim=0); x.mean(1, True); x.std(dim=0); x.std(unbiased=True)
x.std(dim=1, correction=0); x.var(dim=0); x.var(dim=0, unbiased=False); x.var(correction=0); x.var(dim=(0, 1))
x.max(); x.min(); x.max(dim=1); x.max(dim=0, keepdim=True); x.min(dim=-1); x.max(p); x.min(other=p); x.amax(1)
x.amax(dim=0); x.amin(dim=(0, 1)); x.argmax(); x.argmax(dim=1); x.argmin(dim=0); x.argmax(dim=1, keepdim=True)
x.any(); x.all(); x.any(dim=0); x.all(dim=1); x.cumsum(dim=0); x.cumsum(1); x.cumprod(dim=1); x.nansum()
x.nanmean(); x.logsumexp(dim=1); x.logsumexp(dim=(0, 1)); x.logsumexp(0, keepdim=True); x.norm(); x.norm(dim=1)
x.norm(p=1, dim=0); x.norm(p=inf, dim=0); x.norm(2, 1, True); x.softmax(dim=1); x.softmax(0); x.log_softmax(dim=0)
s.softmax(0); x.sort(dim=1); x.sort(dim=0, descending=True); x.sort(descending=True); x.argsort(dim=0)
x.argsort(descending=True); x.topk(2); x.topk(1, dim=0, largest=False); x.kthvalue(2)
x.kthvalue(1, dim=0, keepdim=True); x.median(); x.median(dim=1); t.median(dim=2); t.median(); x.aminmax()
x.aminmax(dim=1); x.count_nonzero(); x.quantile(0.3); x.quantile(0.5, dim=1); x.diff(); x.diff(dim=0); t.sum(dim=(0, 2))
t.mean(dim=(1, 2), keepdim=True); s.sum(); s.max(); s.sum(dim=0); s.max(dim=0); s.sort(dim=0)
"""
VIEWS = """
x.view(6); x.view(3, 2); x.view(-1); x.view((3, -1)); x.view_as(x); x.reshape(3, 2); x.reshape((6,)); x.reshape(-1)
x.reshape_as(x); x.t().reshape(6); x.T; x.mT; x.t(); v.t(); x.transpose(dim0=0, dim1=1); x.transpose(1, 0)
t.transpose(1, 2); t.transpose(0, -1); t.swapaxes(0, 1); t.swapdims(1, 2); t.permute(2, 0, 1); t.permute((0, -1, 1))
t.movedim(0, 2); t.movedim((0, 1), (2, 0)); t.moveaxis(0, 1); t.mT; x.unsqueeze(0); x.unsqueeze(-1); x.squeeze()
x.unsqueeze(1).squeeze(1); x.unsqueeze(0).squeeze(dim=0); x.squeeze(dim=0); x.unsqueeze(0).unsqueeze(3).squeeze()
x.expand(4, 2, 3); x.expand(2, -1); v.expand(2, 3); v.expand_as(x); s.expand(2, 2); x.unsqueeze(2).expand(-1, -1, 2)
x.narrow(1, 1, 2); x.narrow(0, -1, 1); x.select(0, 1); x.select(1, -1); t.select(1, 0); m.diagonal(); m.diagonal(1)
t.diagonal(dim1=1, dim2=2); t.diagonal(0, 0, 2); v.unfold(0, 2, 1); t.unfold(2, 3, 1); x.unfold(1, 2, 2)
t.unfold(1, 2, 1).sum(dim=1); x.flatten(0); t.flatten(1); t.flatten(0, 1); x.flatten(); s.flatten(0)
v.unflatten(0, (1, 3)); t.unflatten(2, (2, -1)); x.split(2, dim=1); x.split([1, 2], 1); t.split(1); x.chunk(2)
t.chunk(3, dim=2); x.chunk(5, dim=1); x.unbind(); x.unbind(1); t.unbind(dim=-1); x.tensor_split(2, dim=1); x.flip(0)
x.flip(0, 1); x.flip((1,)); x.roll(1); x.roll(1, 0); x.roll((1, 1), (0, 1)); x.rot90(); m.tril(); m.triu(1)
v.diag(); m.diag(1); x.repeat_interleave(2); x.repeat_interleave(2, dim=1); x.tile((2, 2)); x.tile(2, 1)
x.contiguous(); x.t().contiguous(); x.as_strided((2, 2), (1, 2)); x.as_strided((3,), (2,), 1)
x.as_strided((2, 2), (1, 1)); x.T[0]; x[0]; x[:, 1]; x[..., 1:]; x[None]; x[[1, 0]]; x[b]; x[:, i]
x.sum_to_size(1, 3); x.sum_to_size(3); x.adjoint(); x.mH; x.type(x.dtype); x.to(x.dtype); x.detach().view(6)
list(x); x.unfold(0, 2, 1).unfold(1, 2, 1); x.tolist(); s.item(); x.dim(); x.numel(); x.nelement(); x.stride()
x.T.stride(); x[:, 1:].storage_offset(); x.is_contiguous(); x.T.is_contiguous(); x.element_size(); len(x); x.size(0)
x.size(-1); tuple(x.size()); tuple(x.shape); x.is_floating_point(); n.is_floating_point(); x.is_complex()
x.data.requires_grad; x[0]._is_view(); x._is_view(); y._is_view(); y[0]._is_view(); y.detach()._is_view(); x.ndim
y[0]._base is y; y[0].view(3)._base is y; x.is_leaf; y.is_leaf; x.requires_grad; y.data_ptr() == y[0].data_ptr()
"""
SELECTING = """
x.gather(1, j); x.gather(0, k); x.take_along_dim(j, dim=1); x.index_select(1, i); x.index_select(0, i // 2)
x.masked_select(b); x.masked_select(x > 0); x.scatter(1, j, p[:, :2]); x.scatter(1, j, 2.0)
x.scatter_add(1, j, p[:, :2]); x.scatter_add(0, k, p[:1]); x.index_add(1, i, p[:, :2])
x.index_add(1, i, p[:, :2], alpha=2.0); x.index_fill(1, i, 3.0); x.index_copy(1, i, p[:, :2])
x.index_put((i // 2, i), v[:2]); x.index_put((i // 2, i), v[:2], accumulate=True); x.masked_scatter(b, p)
x.nonzero(as_tuple=False); x.gather(1, j[:, :1]); v.gather(0, i); x.index_fill(0, i // 2, s); x.index_put((b,), s)
x.take(i); v.index_add(0, i * 0, v[:2]); x.mm(m); m.mv(v); t.bmm(t.mT); v.dot(v); v.outer(v); x.matmul(m)
x.addmm(x, m); x.addmm(x, m, beta=0.5, alpha=2.0); v.addmv(m, v); m.addr(v, v, beta=2.0); x.mm(m).mm(m)
t.baddbmm(t, (t.mT @ t), beta=0.0); m.inverse(); m.det(); m.logdet(); m.slogdet(); m.matrix_power(3); x.dist(p)
x.kron(p); m.pinverse(); x.cross(p, dim=1); v.ger(v)
"""
MORE = """
x.cummax(dim=1); x.cummin(dim=0); t.cummax(dim=2); (x * 0).cummax(dim=1); s.cummax(dim=0); n.cummax(dim=0)
x.logcumsumexp(dim=1); (x * 400).logcumsumexp(dim=1); n.mode(dim=1); j.mode(); x.round().mode(dim=1)
x.mode(dim=0, keepdim=True); x.nanmedian(); x.nanmedian(dim=1); (x / (x > 0)).nanmedian(dim=1)
x.log().nanmedian(dim=1); x.log().nanmedian(); m.msort(); j.unique(); j.unique(return_counts=True)
n.unique_consecutive(); j.unique_consecutive(dim=0); k.unique_consecutive(return_inverse=True, return_counts=True)
x.scatter_reduce(1, j, p[:, :2], "sum"); x.scatter_reduce(1, j, p[:, :2], "prod")
x.scatter_reduce(1, j, p[:, :2], "mean"); x.scatter_reduce(1, j, p[:, :2], "amax")
x.scatter_reduce(1, j, p[:, :2], "amin"); x.scatter_reduce(1, j, p[:, :2], "sum", include_self=False)
x.scatter_reduce(1, j, p[:, :2], "prod", include_self=False)
x.scatter_reduce(1, j, p[:, :2], "mean", include_self=False)
x.scatter_reduce(1, j, p[:, :2], "amax", include_self=False)
x.scatter_reduce(1, j, p[:, :2], "amin", include_self=False); (x * 0).scatter_reduce(0, k, p, "prod")
x.scatter_reduce(0, k * 0, p * 0, "prod"); x.scatter_reduce(0, k * 0, x * 0, "amax")
x.scatter_reduce(1, j * 0, x[:, :1].expand(2, 2), "amax"); n.scatter_reduce(1, j, n, "mean")
n.scatter_reduce(1, j, n, "amax"); n.scatter_reduce(1, j, n, "prod", include_self=False)
m.index_reduce(0, i, x, "prod"); m.index_reduce(1, i, m[:, :2], "mean"); m.index_reduce(0, i * 0, x, "amax")
m.index_reduce(0, i * 0, x, "amin", include_self=False); m.index_reduce(0, i * 0, x, "prod", include_self=False)
m.select_scatter(v, 0, 1); m.select_scatter(v, 1, -1); m.slice_scatter(x, 0, 1); m.slice_scatter(x, 0, 0, 3, 2)
m.diagonal_scatter(v); m.diagonal_scatter(v[:2], 1); v.diag_embed(); x.diag_embed(); x.diag_embed(1, 0, 2)
t.diag_embed(-1); v.diagflat(); v.diagflat(1); m.narrow_copy(0, 1, 2); m.flipud(); m.fliplr(); m.hsplit(3); t.vsplit(2)
t.dsplit(2); m.unsafe_split(2); m.unsafe_chunk(2); m.argwhere(); n.argwhere(); x.hardshrink(); x.hardshrink(0.8)
x.prelu(s); x.prelu(v); t.prelu(v); v.prelu(s); (p + 2).mvlgamma(2); p.polygamma(1); p.polygamma(0); p.polygamma(3)
x.isneginf(); x.isposinf(); x.isreal(); x.frexp()[0]; m[:2, :2].addbmm(t[:, :2], t[:, 1:].transpose(dim0=1, dim1=2))
m.renorm(2, 0, 0.5); m.renorm(1, 1, 1.0); t.renorm(2, 1, 0.3); m.matrix_exp(); x.T.cholesky_solve(m.tril())
m.tril().cholesky_inverse(); m.triu().cholesky_inverse(upper=True); m.svd()[1]; x.svd()[1]; m.nanquantile(0.3)
m.nanquantile(0.3, dim=1); n.abs().view(6).bincount(); x.histc(4, -1, 1); x.resolve_conj(); x.is_cpu; x.is_conj()
"""
IN_PLACE = """
y.add_(v); y.add_(v, alpha=2.0); y.sub_(v); y.sub_(1.0, alpha=2); y.mul_(v); y.mul_(2); y.div_(p); y.pow_(2)
y.div_(p, rounding_mode="floor"); y.neg_(); y.exp_(); y.abs_().sqrt_(); y.sin_(); y.cos_(); y.tanh_(); y.sigmoid_()
y.relu_(); y.clamp_(-0.5, 0.5); y.clamp_(min=0.0); y.clamp_max_(0.1); y.clamp_min_(0.1); y.fill_(2.0); y.fill_(s)
y.zero_(); y.copy_(p); y.copy_(v); y.masked_fill_(b, 1.5); y.masked_fill_(b, s); y.index_add_(1, i, p[:, :2])
y.index_fill_(1, i, 2.0); y.index_copy_(1, i, p[:, :2]); y.scatter_(1, j, p[:, :2]); y.scatter_(1, j, 0.5)
y.scatter_add_(1, j, p[:, :2]); y.addcmul_(p, v); y.addcdiv_(v, p, value=0.5); y.lerp_(p, 0.3); y.lerp_(p, v)
y.square_(); y.reciprocal_(); y.round_(); y.floor_(); y.ceil_(); y.trunc_(); y.frac_(); y.abs_(); y.expm1_()
y.mul_(0).add_(p).log_(); y.add_(2).rsqrt_(); y.add_(2).log1p_(); y.sinh_(); y.atan_(); y.erf_(); y.atan2_(p)
y.hypot_(p); y.copysign_(p); y.remainder_(0.4); y.fmod_(0.4); y.lt_(p); y.eq_(p); y.sign_(); y.nan_to_num_()
y.masked_scatter_(b, p); y.index_put_((i // 2, i), v[:2]); y.index_put_((i // 2, i), v[:2], accumulate=True)
y.cumsum_(0); y.tril_(); y.triu_(1); y.addmm_(x, m); y.clip_(0.0, 0.5); y.xlogy_(p); y.deg2rad_(); y.exp2_()
y.sinc_(); y[0].add_(v); y[:, 1].mul_(2.0); y.view(6)[2:4].zero_(); y.T[0].copy_(p[:, 0]); y.diagonal().fill_(1.0)
y.t().mul_(s); y.unsqueeze(0).select(1, 0).exp_(); y.narrow(1, 1, 2).sin_(); p.split(1)[0].detach().mul_(2.0)
y.add_(y); n.add_(1); n.mul_(n); n.neg_(); n.fill_(1.7); n.bitwise_and_(3); n.clamp_(0, 3); n.floor_divide_(2)
n.copy_(x); b.logical_not_(); b.fill_(1); b.logical_and_(x > 0); b.bitwise_xor_(b); n.lt_(3)
z = y.expand(2, 2, 3); y.mul_(2); r = z; w = y[0]; y.add_(v); r = (w, y); z = y.unfold(1, 2, 1); y.exp_(); r = z
z = y.view(6); z.mul_(2); r = (y, z); z = y.detach(); z.add_(1); r = z; z = y.data; z.add_(1); r = (y, z)
z = y.T; w = y[1]; z.mul_(3); w.zero_(); r = (y, z, w); y.detach_(); r = y * v; z = y.flatten(0); z[0] = 5.0; r = y
y.mul_(2).add_(1).mul_(v); y.fill_diagonal_(3.0); z = y.narrow(0, 0, 1); z *= 2; y += 1; r = z; y /= p; r = y
y **= 2; r = y
y.t_(); y.transpose_(0, 1); y.swapaxes_(0, 1); y.swapdims_(1, 0); y.unsqueeze_(0); y.unsqueeze_(-1); y.squeeze_()
y.unsqueeze_(0).squeeze_(0); y.index_reduce_(1, i, p[:, :2], "prod"); y.scatter_reduce_(1, j, p[:, :2], "amax")
y.renorm_(2, 0, 0.5); y.put_(i, v[:2]); y.put_(i, v[:2], accumulate=True); (y + 3).mvlgamma_(1)
y.t_().mul_(v.view(3, 1)); z = y[0]; y.t_(); r = (z, y); z = y[0]; y.t_(); y.mul_(2); r = (z, y)
z = y.view(3, 2); z.t_(); z.mul_(p); r = (y, z); z = y[0:1]; z.squeeze_(0); z.exp_(); r = (y, z)
z = y.T; y.unsqueeze_(0); z.mul_(2); r = (y, z); z = y.t_(); z[0, 0] = 5.0; r = y; n.resize_(3); n.resize_(2, 2)
n.resize_(8)[:6]; z = y.detach().clone(); z.resize_(2, 2); r = z; z = n[0]; n.resize_(2, 2); z.fill_(7); r = n
z = n.t_(); z[0] = 9; r = n
"""
NAMES = """
y.view(-1); y.split(1)[0]; y.unbind()[0]; y.expand(2, 2, 3); y.unfold(1, 2, 1); y.mT; y.T; y.t(); y.narrow(0, 0, 1)
y.select(0, 0); y.diagonal(); y.permute(1, 0); y.movedim(0, 1); y.swapaxes(0, 1); y.unflatten(0, (1, 2))
y.reshape(6); y.chunk(2)[0]; y.unsqueeze(0); y.squeeze(); y.clone(); y[0]; y[0:1]; y * 2; y.sum(); y.mean(); y + 1
y - 1; y / 2; -y; y.exp(); y.tanh(); y.sigmoid(); y.relu(); y.prod(); y.cumsum(0); y.softmax(0); y.log_softmax(0)
y.abs(); y.sqrt(); y @ m; y.as_strided((2,), (1,)); y.float(); y.where(b, 0.0); y[[0]]; y.contiguous()
"""
REFUSALS = """
x.item(); bool(x); float(x); int(x); v.item(); bool(v > 0)
x.view(5); x.T.view(6); x.view(4, -1); x.reshape(5); x.expand(2, 4); x.expand(3); v.expand(-1, 3); x.narrow(0, 1, 2)
x.narrow(0, 5, 1); x.select(0, 4); x.select(2, 0); v.unflatten(0, (2, 2)); x.split([1, 1], 1); x.split(-1)
x.chunk(0); v.unfold(0, 4, 1); v.unfold(0, 2, 0); v.permute(0, 1); x.permute(0, 0); v.movedim(0, 1)
v.movedim((0,), (0, 1)); m.diagonal(dim1=0, dim2=0); x.unsqueeze(4); s.unbind(); v.unbind(1); t.t(); v.mT
x.sum(dim=2); x.max(dim=3); x.gather(0, i + 5); x.gather(1, j + 7); x.index_select(0, i + 9)
x.index_add(0, i + 9, x); x.topk(9); t[:, 1].view(8); v.kthvalue(4); x.clamp(); x.mm(x); v.mm(v); m.mv(m)
n.softmax(dim=0); x.scatter(1, j, p.float()); x.masked_fill(n, 1.0); x.masked_fill(b, v); v.sum_to_size(2)
x.div(p, rounding_mode="up"); x.nope(); y.add_(m); y.mul_(t); n.add_(1.5); n.div_(2); n.sqrt_(); b.add_(1)
n.mul_(x); y.copy_(m); y.fill_(v); y.masked_fill_(b, v); x.add_(1); x.mul_(2); x[0].mul_(2); x.view(6).zero_()
x.fill_(0); x.copy_(p); x.zero_(); x.masked_fill_(b, 0.0); x.clamp_(0, 1); x.index_fill_(0, i, 0.0)
x.scatter_(1, j, 0.0); x.addcmul_(p, p); v.expand(2, 3).add_(1); y.split(1)[0].add_(1); y.unbind(1)[0].mul_(v[0])
y[0].detach_(); y.requires_grad_(False); n.requires_grad_(); len(s); v.as_strided((9,), (1,)); x.nope
v.squeeze(dim=4); x.index_copy(1, i, p); y.index_add_(1, i, p); v.fill_diagonal_(3.0); x.t_(); v.unsqueeze_(0)
x[:1].squeeze_(0); x.resize_(3); y.resize_(6); y.split(1)[0].t_(); y.unsqueeze_(5); t[0].t_()
n.transpose_(0, 4); x.scatter_reduce(1, j + 7, p, "sum"); x.index_reduce(0, i, p, "mean"); x.put_(i, v[:2])
y.put_(i, v); y.put_(i + 99, v[:2])
x.select_scatter(v, 1, 0); x.diagonal_scatter(v); t.prelu(p); v.diag_embed(0, 0, 0); x.renorm_(2, 0, 0.5)
"""


def programs(text):
    return [p.strip() for line in text.strip().splitlines() for p in split(line)]


def split(line):
    """Expressions are separated by semicolons; statements up to one that sets ``r`` belong together."""
    parts, made = line.split(";"), []
    for part in parts:
        part = part.strip()
        if made and not done(made[-1]):
            made[-1] += "\n" + part
        elif part:
            made.append(part)
    return made


def done(program):
    last = program.rsplit("\n", 1)[-1]
    return last.startswith("r = ") or not (program.startswith(("z = ", "w = ")) or "\n" in program or opens(program))


def opens(program):
    return program.startswith(("y +=", "y /=", "y **=", "y.detach_()"))


@BETA
@pytest.mark.parametrize("program", programs(ELEMENTWISE + REDUCTIONS + VIEWS + SELECTING + MORE))
def test_method(program):
    a, _ = assert_same(program)
    assert not isinstance(a, Exception), repr(a)


@BETA
@pytest.mark.parametrize("program", programs(IN_PLACE))
def test_in_place(program):
    a, b = assert_same(program)
    if isinstance(b, Exception):
        pytest.fail(repr((a, b)))
    assert a.versions == b.versions


@pytest.mark.parametrize("program", programs(REFUSALS))
def test_refusal(program):
    a, b = assert_same(program)
    assert isinstance(a, Exception), program
    if not isinstance(b, (AttributeError, ValueError, TypeError)):
        assert isinstance(a, type(b)), f"{a!r} and {b!r}"


@pytest.mark.parametrize("program", programs(NAMES))
def test_name_of_grad_fn(program):
    names = []
    for leaves, plain, lib in (ours(), theirs()):
        r = eval(program, {**leaves, **plain, "lib": lib, "y": leaves["x"] * 1.0})
        names.append(r.grad_fn.name().rstrip("0123456789"))
    assert names[0] == names[1]


# --- what has no counterpart in PyTorch, or another meaning there ---------------------------------------------------


COMPLEX = """
z.real; z.imag; z.real * z.imag; z.real.exp() + z.imag[0]; z[0].imag; z.T.real[1]; z.real.view(6); z.real._is_view()
u.real.mul_(2.0); r = u; u.imag.copy_(x); r = u; u.real[0] = x[1]; r = u; u.imag[:, 1:].exp_(); r = (u, u.real)
a = u.real; u.mul_(1 + 2j); r = (a, u.imag); a = u.real; b2 = u.imag; a.add_(b2); r = (u, b2); u[0].real.zero_(); r = u
a = u.imag; u[1] = 2.0; r = (a, a[0]); u.T.imag.mul_(x.T); r = u; a = u.real.view(6); a[2:4] = 5.0; r = (u, a)
"""


@pytest.mark.parametrize(
    "program",
    [p for line in COMPLEX.strip().splitlines() for p in re.findall(r"(?:[^;]*;)*?\s*r = [^;]*|z[^;]*", line)],
)
def test_parts_of_complex_numbers_are_views(program):
    found = []
    for leaves, plain, lib in (ours(), theirs()):
        z = lib.tensor(DATA["x"] + 1j * DATA["p"], requires_grad=True)
        names = {**leaves, **plain, "z": z, "u": z * 1.0}
        text = program.strip().replace("; ", "\n")
        exec(text if "r = " in text else f"r = {text}", names)
        parts = [r for r in flat(names["r"]) if hasattr(r, "detach")]
        if parts:
            sum((abs(r) ** 2 * weights(lib, r).real).sum() for r in parts).backward()
        values = [np.array(r.detach().numpy()) for r in parts] or [np.asarray(names["r"])]
        grads = [np.zeros(1) if t.grad is None else np.array(t.grad.numpy()) for t in (z, leaves["x"])]
        found.append([*values, *grads, *[np.array(r._version) for r in parts]])
    for mine, its in zip(*found, strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-9, atol=1e-12)


def test_numpy_words_keep_numpy_meanings():
    a = DATA["x"]
    x = tg.tensor(a)
    np.testing.assert_allclose(x.std(axis=0).numpy(), a.std(axis=0))
    np.testing.assert_allclose(x.var(0, ddof=1, keepdims=True).numpy(), a.var(0, ddof=1, keepdims=True))
    np.testing.assert_allclose(x.max(1).numpy(), a.max(1))
    np.testing.assert_allclose(x.repeat(2, 0).numpy(), a.repeat(2, 0))
    np.testing.assert_allclose(tg.tensor(DATA["t"]).transpose(2, 0, 1).numpy(), DATA["t"].transpose(2, 0, 1))
    np.testing.assert_allclose(x.sum((0, 1), keepdims=True).numpy(), a.sum((0, 1), keepdims=True))
    x.put([0, -1], [7.0, 8.0])
    assert x[0, 0].item() == 7.0 and x[1, 2].item() == 8.0 and x._version == 1
    assert x.size == 6 and isinstance(x.size, int) and x.size() == (2, 3) and x.size(1) == 3


@pytest.mark.parametrize(
    "call, error, match",
    [
        (lambda x: x.transpose(0, 1), ValueError, "leaves it as it is in NumPy"),
        (lambda x: x.transpose(-2, -1), ValueError, "write x.T"),
        (lambda x: x.sort(), TypeError, "sorting in place is not supported"),
        (lambda x: x.sum(dim=0, axis=0), TypeError, "name the same argument"),
        (lambda x: x.view("f4"), TypeError, "cannot be seen in another dtype"),
        (lambda x: x.add([1.0]), TypeError, "must be a tensor, an array or a number"),
        (lambda x: x.to("cuda"), RuntimeError, "there is no device"),
        (lambda x: x.size(4), IndexError, "Dimension out of range"),
        (lambda x: x.unfold(1, 2, 1).mul_(2.0), RuntimeError, "single memory location"),
        (lambda x: x.scatter(1, tg.tensor([[0]]), 1.0, reduce="maximum"), RuntimeError, "either add or multiply"),
        (lambda x: x.scatter_reduce(1, tg.tensor([[0]]), x, "median"), RuntimeError, "sum, prod, mean, amax or amin"),
        (lambda x: x.index_reduce(0, tg.tensor([0]), x[:1], "sum"), RuntimeError, "index_add"),
        (lambda x: x[0].resize_(2, 9), RuntimeError, "whose memory others share"),
        (lambda x: x.resize_(-1), RuntimeError, "negative length"),
        (lambda x: (-abs(x)).multinomial(1), RuntimeError, "not negative"),
        (lambda x: (x * x).requires_grad_().apply_(abs), RuntimeError, "Can't call apply_"),
        (lambda x: (x + 0 * 1j).relu(), TypeError, "not defined for complex"),
    ],
)
def test_own_refusals(call, error, match):
    with pytest.raises(error, match=match):
        call(tg.tensor(DATA["x"]))


def test_out():
    x, b = tg.tensor([1.0, 2.0], requires_grad=True), tg.tensor([3.0, 4.0])
    y, z = x * 1.0, tg.zeros(2)
    assert np.multiply(x, b, out=y) is y and y._version == 1
    np.exp(x, out=z, where=np.array([True, False]))
    (y.sum() + z.sum()).backward()
    np.testing.assert_allclose(x.grad.numpy(), [3.0 + np.e, 4.0])
    with pytest.raises(RuntimeError, match="leaf Variable"):
        np.add(x, b, out=x)
    n = tg.tensor([1, 2])
    assert np.add(n, n, out=n).tolist() == [2, 4]
    with pytest.raises(TypeError, match="can't be cast to the desired output type int64"):
        np.add(n, 1.5, out=n)


@pytest.mark.parametrize(
    "call, word",
    [(lambda x: x.mul_(2, alpha=3), "alpha"), (lambda x: x.add_(2, rounding_mode="floor"), "rounding_mode")],
)
def test_options_of_other_operations_are_refused(call, word):
    x = tg.tensor([1.0, 2.0])
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{word}'"):
        call(x)
    assert x.tolist() == [1.0, 2.0] and x._version == 0


def test_size_is_a_number_everywhere():
    x = tg.tensor(np.float32([1.0, 2.0, 3.0]))
    assert (x.sum() / x.size).dtype == np.float32
    assert x[x[:2].size].item() == 3.0 and x[: x.size].shape == (3,)
    assert pickle.loads(pickle.dumps(x.size)) == 3


def test_deepcopy_of_leaves():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    twin, again = copy.deepcopy([x, x])
    assert twin is again and twin.is_leaf and twin.requires_grad and twin.grad.tolist() == [2.0, 4.0]
    with tg.no_grad():
        twin.zero_()
        twin.grad.zero_()
    assert x.tolist() == [1.0, 2.0] and x.grad.tolist() == [2.0, 4.0]
    with pytest.raises(RuntimeError, match="graph leaves"):
        copy.deepcopy(x * 2)


def test_pickle():
    x = tg.tensor([[1.0, 2.0]], requires_grad=True)
    for t, requires in ((x, True), (x * 2, True), (x.detach(), False), (x.T.detach(), False)):
        made = pickle.loads(pickle.dumps(t))
        assert made.tolist() == t.tolist() and made.requires_grad == requires and made.is_leaf


def test_data_and_grad_by_hand():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    x.grad = tg.tensor([5.0, 6.0])
    (3 * x).sum().backward()
    assert x.grad.tolist() == [8.0, 9.0]
    for wrong, match in ((tg.zeros(3), "of size"), (tg.zeros(2, dtype="f4"), "dtype"), (x, "its own grad")):
        with pytest.raises(RuntimeError, match=match):
            x.grad = wrong
    with pytest.raises(TypeError, match="expected to be a Tensor or None"):
        x.grad = 3.0
    with pytest.raises(TypeError, match="must be a tensor or an array, not float"):
        x.data = 3.0
    x.grad = None
    x.data = tg.tensor([7.0, 8.0, 9.0])
    assert x.shape == (3,) and x.requires_grad
    (x * x).sum().backward()
    assert x.grad.tolist() == [14.0, 16.0, 18.0]
    x.data.mul_(2.0)
    assert x.tolist() == [14.0, 16.0, 18.0] and x._version == 0


def test_detach_in_place():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    z = y * y
    assert y.detach_() is y and not y.requires_grad and y.grad_fn is None and y.is_leaf
    z.sum().backward()
    assert x.grad.tolist() == [8.0, 16.0]
    assert not x.detach_().requires_grad


def test_python_functions_of_elements():
    x = tg.tensor([1.0, -2.0])
    assert x.apply_(abs).tolist() == [1.0, 2.0] and x._version == 1
    assert x.map_(tg.tensor([10.0, 20.0]), max).tolist() == [10.0, 20.0]


def test_draws_follow_their_probabilities():
    p = tg.tensor([0.0, 1.0, 0.25])
    draws = np.array([p.bernoulli(rng=k).tolist() for k in range(400)])
    assert draws[:, 0].max() == 0.0 and draws[:, 1].min() == 1.0 and abs(draws[:, 2].mean() - 0.25) < 0.1
    picked = tg.tensor([[0.0, 3.0, 1.0], [1.0, 0.0, 0.0]]).multinomial(400, True, rng=0)
    assert picked.shape == (2, 400) and set(picked[1].tolist()) == {0}
    assert abs((np.array(picked[0].tolist()) == 1).mean() - 0.75) < 0.1
    assert sorted(tg.ones(5).multinomial(5, rng=1).tolist()) == [0, 1, 2, 3, 4]


def test_shapes_of_leaves_are_changed_under_no_grad():
    x = tg.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    row = x[0]
    with tg.no_grad():
        x.t_()
    assert x.shape == (3, 1) and x.is_leaf and x._version == 1
    (x * np.array([[1.0], [2.0], [3.0]])).sum().backward()
    assert x.grad.tolist() == [[1.0], [2.0], [3.0]] and row.tolist() == [1.0, 2.0, 3.0]


def test_grown_tensors_keep_their_elements():
    x = tg.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert x.resize_as_(tg.zeros(3, 2)).tolist() == [[1.0, 2.0], [3.0, 4.0], [0.0, 0.0]]


def test_random_writes_are_seeded():
    for fill in ("uniform_", "normal_", "bernoulli_", "exponential_", "log_normal_", "cauchy_"):
        a, b = (getattr(tg.zeros(100), fill)(rng=3).tolist() for _ in range(2))
        assert a == b and len(set(a)) > 1
    tg.manual_seed(0)
    a = tg.rand(3).tolist(), tg.randn_like(tg.zeros(2)).tolist(), tg.randint(5, (4,)).tolist(), tg.randperm(5).tolist()
    tg.manual_seed(0)
    b = tg.rand(3).tolist(), tg.randn_like(tg.zeros(2)).tolist(), tg.randint(5, (4,)).tolist(), tg.randperm(5).tolist()
    assert a == b


@pytest.mark.parametrize(
    "make",
    [
        lambda lib: lib.full_like(lib.zeros(2, 3), 7.0),
        lambda lib: lib.empty_like(lib.zeros(2)).zero_(),  # what stands there may be NaN
        lambda lib: lib.logspace(0.0, 2.0, 3, dtype=lib.zeros(1).double().dtype),
        lambda lib: lib.as_tensor([1, 2]),
        lambda lib: lib.zeros(2).new_full((2, 2), 3.0),
        lambda lib: lib.zeros(2).new_ones(3, 1),
        lambda lib: lib.zeros(2).new_tensor([1, 2]),
        lambda lib: lib.zeros((2,)).type_as(lib.arange(3)),
        lambda lib: lib.eye(2, 3),
    ],
)
def test_creation(make):
    torch = pytest.importorskip("torch")
    mine, its = make(tg), make(torch)
    assert mine.shape == tuple(its.shape) and mine.tolist() == its.tolist()
    assert mine.dtype.kind == its.numpy().dtype.kind


def test_as_tensor_shares_memory():
    array = np.zeros(3)
    t = tg.as_tensor(array)
    array[0] = 5.0
    assert t[0].item() == 5.0 and tg.as_tensor(t) is t and tg.is_tensor(t) and not tg.is_tensor(array)


@pytest.mark.parametrize(
    "make, text",
    [
        (lambda: tg.tensor([1.0, 2.0], requires_grad=True), "tensor([1., 2.], requires_grad=True)"),
        (lambda: tg.tensor([1.0, 2.0], requires_grad=True) * 2, "tensor([2., 4.], grad_fn=<MulBackward0>)"),
        (lambda: tg.tensor(3.0), "tensor(3.)"),
        (lambda: tg.tensor([1, 2]), "tensor([1, 2])"),
        (lambda: tg.tensor([True, False]), "tensor([ True, False])"),
        (lambda: tg.tensor([1.5], dtype="f4"), "tensor([1.5], dtype=float32)"),
        (lambda: tg.tensor([[1.0, 2.0], [3.0, 4.0]]), "tensor([[1., 2.],\n        [3., 4.]])"),
        (lambda: tg.zeros(0, 3), "tensor([], size=(0, 3))"),
        (lambda: tg.tensor([]), "tensor([])"),
        (lambda: tg.zeros(2, requires_grad=True).view(2, 1)[0], "tensor([0.], grad_fn=<SelectBackward0>)"),
        (lambda: tg.zeros(2000), "tensor([0., 0., 0., ..., 0., 0., 0.])"),
        (lambda: tg.tensor(1.0 + 2.0j), "tensor(1.+2.j, dtype=complex128)"),
    ],
)
def test_printing(make, text):
    assert repr(make()) == text and str(make()) == text


# --- orders of elements, and what arrays write in place ---


@pytest.mark.parametrize("order", ["A", "K", "k"])
def test_orders_that_go_by_memory_are_refused_where_they_matter(order):
    x = tg.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True)
    for call in (lambda: np.ravel(x.T, order), lambda: x.ravel(order), lambda: x.flatten(order)):
        with pytest.raises(ValueError, match=r"ravel: order='.' goes by how the elements stand in memory.*order='C'"):
            call()
    if order == "A":
        with pytest.raises(ValueError, match=r"reshape: order='A'"):
            np.reshape(x, (3, 2), order=order)
    np.testing.assert_array_equal(np.ravel(x[:, :1], order).detach(), [1.0, 4.0])
    np.testing.assert_array_equal(x.T.ravel("f").detach(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    with pytest.raises(ValueError, match=r"order must be one of 'C', 'F', 'A', 'K', not 'B'"):
        x.ravel("B")


def test_copy_takes_an_order():
    x = tg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    x.copy(order="F")[0].sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [[1.0, 1.0], [0.0, 0.0]])


def check_like_arrays(function, x):
    """A function that writes: on a tensor as on an array, and its gradient against differences."""
    np.testing.assert_array_equal(function(tg.tensor(x)).numpy(), function(x.copy()))
    weights = np.cos(np.arange(np.size(function(x.copy()))))
    tg.check_grads(lambda v: np.sum(weights * function(v * 1.0).ravel()), (x,), order=2)


def write_flat(key, value):
    def function(x):
        x.flat[key] = value(x.copy())
        return x

    return function


@pytest.mark.parametrize("key", [3, -1, slice(None, None, 2), [0, 5, 1], np.arange(6) > 2], ids=repr)
@pytest.mark.parametrize("value", [lambda x: 7.0, lambda x: x[0, 1] ** 2, lambda x: x[0] ** 2, lambda x: x.flat[4:5]])
def test_flat_is_written_as_an_arrays(key, value):
    if isinstance(key, int) and np.ndim(value(np.ones((2, 3)))):
        with pytest.raises(ValueError, match=r"flat: one element was to be set to values of shape \(\d,\)"):
            write_flat(key, value)(tg.ones(2, 3))
        return
    for x in (np.arange(1.0, 7.0).reshape(2, 3), np.arange(1.0, 7.0).reshape(3, 2).T):
        check_like_arrays(write_flat(key, value), x)


def test_flat_is_read():
    x = np.arange(1.0, 7.0).reshape(3, 2).T
    check_like_arrays(lambda v: v.flat[1::2] * v.flat[[0, 2, 5]], x)
    check_like_arrays(lambda v: sum(k * a * a for k, a in enumerate(v.flat)), x)
    t = tg.tensor(x)
    assert len(t.flat) == 6 and t.flat.base is t
    np.testing.assert_array_equal(np.asarray(t.flat), x.ravel())
    t.flat[0:1].fill_(9.0)  # a copy, as NumPy's
    assert t[0, 0].item() == 1.0
    t.flat = [1.0, 2.0]
    np.testing.assert_array_equal(t.numpy(), [[1.0, 2.0, 1.0], [2.0, 1.0, 2.0]])
    with pytest.raises(TypeError, match=r"lose its gradient"):
        tg.grad(lambda v: np.sum(np.asarray(v.flat)))(x)
    with pytest.raises(IndexError, match=r"out of bounds"):
        t.flat[6]


def filled(x):
    y = x * x
    y.fill(x[0, 1])
    return y * x


def partitioned(x):
    x.partition(1, axis=0)
    return x[1] ** 2


@pytest.mark.parametrize("function", [filled, partitioned])
def test_arrays_methods_that_write(function):
    check_like_arrays(function, np.array([[3.0, -1.0], [0.5, 2.0], [1.5, 0.7]]))


def test_fill_takes_one_number():
    with pytest.raises(ValueError, match=r"fill: one number is needed, and shape \(2,\) was given"):
        tg.zeros(2).fill([1.0, 2.0])


@pytest.mark.parametrize(
    ("convert", "slope"),
    [
        (lambda x: x.astype(">f8"), 1.0),
        (lambda x: x.astype(">f4"), 1.0),
        (lambda x: np.cumsum(x, dtype=">f8"), np.array([2.0, 1.0])),
        (lambda x: np.stack([x, x], dtype=">f8"), 2.0),
        (lambda x: x.astype(">c16").real, 1.0),
    ],
)
def test_dtypes_of_the_other_byte_order_are_this_machines(convert, slope):
    x = np.array([1.5, -2.0])
    found = convert(tg.tensor(x))
    assert found.dtype.isnative
    np.testing.assert_array_equal(found.numpy(), convert(x))
    for gradient in (tg.grad, lambda f: tg.compile(tg.grad(f))):
        np.testing.assert_array_equal(gradient(lambda x: np.sum(convert(x)))(x), slope * np.ones(2))
