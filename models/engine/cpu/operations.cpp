#include "models/engine/cpu/operations.h"

#include "models/engine/aten/operations.h"

namespace lora::cpu {

constinit const Operations kOperations = {
    .norm_columns = norm_columns,
    .norm_columns_backward = norm_columns_backward,
    .rotate = rotate,
    .swiglu = swiglu,
    .swiglu_backward = swiglu_backward,
    .geglu = aten::geglu,  // ATen's are fast enough
    .geglu_backward = aten::geglu_backward,
    .packed_attention = packed_attention,
    .packed_attention_backward = packed_attention_backward,
    .project_rows = project_rows,
    .add_rows = add_rows,
    .thin_gradient = thin_gradient,
    .takes_product = takes_product,
    .weight_products = weight_products,
    .dropout = dropout,
    .cross_entropy = cross_entropy,
};

}  // namespace lora::cpu
