"""The operators that an uploaded graph may call.

`torch.export.load` resolves an operator by walking attributes from `torch`, so a name is a way to
call anything that torch can reach. Only overloads of the ATen operators below pass: pure tensor
functions that image models are made of. None of them reads files, sets storages, runs graphs or
looks at addresses.
"""

import re

import torch


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ATEN_OPERATORS = _words(
    """
    abs adaptive_avg_pool1d _adaptive_avg_pool2d adaptive_avg_pool2d adaptive_max_pool2d add
    add_ addmm alias all alpha_dropout amax amin any arange argmax argmin _assert_scalar
    _assert_tensor_metadata avg_pool1d avg_pool2d baddbmm batch_norm _batch_norm_no_update
    bitwise_and bitwise_not bitwise_or bmm broadcast_tensors cat celu channel_shuffle chunk
    clamp clamp_ clamp_max clamp_min clone constant_pad_nd contiguous conv1d conv2d conv3d
    conv_transpose2d convolution cos cosine_similarity cumsum detach detach_ div div_ dropout
    dropout_ einsum elu elu_ embedding eq erf exp expand expand_as expm1
    feature_dropout flatten flip floor floor_divide full full_like gather ge gelu glu
    grid_sampler group_norm gt hardsigmoid hardsigmoid_ hardswish hardswish_ hardtanh hardtanh_
    index index_select instance_norm is_nonzero isnan layer_norm le leaky_relu leaky_relu_
    lift_fresh_copy linalg_vector_norm linear log log1p log_softmax _log_softmax logical_and
    logical_not logical_or logsumexp lt masked_fill matmul max max_pool1d max_pool2d
    max_pool2d_with_indices maximum mean min minimum mish mish_ mm movedim mul mul_ narrow
    native_batch_norm _native_batch_norm_legit_no_training native_dropout native_group_norm
    native_layer_norm ne neg new_full new_ones new_zeros norm ones ones_like pad
    permute pixel_shuffle pixel_unshuffle pow prelu prod reciprocal reflection_pad2d relu relu6
    relu6_ relu_ repeat replication_pad2d reshape roll round rsqrt rsub scalar_tensor
    scaled_dot_product_attention select selu selu_ sigmoid sigmoid_ sign silu silu_ sin slice
    softmax _softmax softplus split split_with_sizes sqrt square squeeze stack std sub sub_ sum
    swapaxes sym_constrain_range sym_constrain_range_for_size sym_numel sym_size t tanh tanh_
    threshold to _to_copy transpose tril triu true_divide unbind unflatten unfold _unsafe_view
    unsqueeze upsample_bicubic2d upsample_bilinear2d _upsample_bilinear2d_aa upsample_nearest2d
    _upsample_nearest_exact2d var var_mean view view_as where zeros zeros_like
    """
)

_ATEN = re.compile(r"torch\.ops\.aten\.([A-Za-z_][A-Za-z0-9_]*)\.([A-Za-z0-9_]+)")
_ARITHMETIC = frozenset(
    f"_operator.{name}" for name in _words("eq ne le ge lt gt neg pos mul add sub floordiv mod")
) | frozenset(f"torch.sym_{name}" for name in _words("max min not int float ite"))

STRING_ARGUMENTS = _words(
    """
    same valid none tanh constant reflect replicate circular trunc floor ij xy mean sum
    """
)
"""Values of string arguments (padding, interpolation and rounding modes); there are no others."""


def is_allowed(target: str) -> bool:
    """Whether a serialised graph may call `target`, e.g. "torch.ops.aten.conv2d.default"."""
    if target in _ARITHMETIC:
        return True
    match = _ATEN.fullmatch(target)
    if match is None or match[1] not in ATEN_OPERATORS:
        return False
    return match[2] in getattr(torch.ops.aten, match[1]).overloads()
