// A device without hardware, so that llama.cpp's scheduler lays graphs over GPUs on any machine.
//
// It takes every operation, has memory that the host cannot read, a buffer type of its own for the host, and copies
// that overlap, as CUDA's devices do. Nothing is ever computed, and its
// memory is reserved but never touched.
// `llama_cpp_oracle --devices` loads it; see there.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "ggml-backend-impl.h"
#include "ggml-backend.h"
#include "ggml-impl.h"
#include "llama-ext.h"

namespace {
struct Device {
    std::string name;
    ggml_backend_buffer_type buffers;
};

std::vector<ggml_backend_device> devices;
std::vector<Device *> contexts;
ggml_backend_buffer_type host_buffers;
ggml_backend_reg registry;

Device * of(ggml_backend_dev_t device) { return static_cast<Device *>(device->context); }

const char * buffers_name(ggml_backend_buffer_type_t type) { return of(type->device)->name.c_str(); }
const char * host_name(ggml_backend_buffer_type_t) { return "Host"; }
size_t alignment(ggml_backend_buffer_type_t) { return 128; }
size_t host_alignment(ggml_backend_buffer_type_t) { return 32; }
// The fused attention kernel reads 16-bit keys and values: quantized ones are converted behind its output.
size_t tensor_size(ggml_backend_buffer_type_t, const ggml_tensor * tensor) {
    size_t size = ggml_nbytes(tensor);
    if (tensor->op != GGML_OP_FLASH_ATTN_EXT) return size;
    const ggml_tensor * keys = tensor->src[1];
    const ggml_tensor * values = tensor->src[2];
    for (const ggml_tensor * each : {keys, values}) {
        const bool same = each == values && values->view_src && values->view_src == keys->view_src;
        if (each->type != GGML_TYPE_F16 && !same) size = (size + 127) / 128 * 128 + 2 * ggml_nelements(each);
    }
    return size;
}
bool is_host(ggml_backend_buffer_type_t) { return true; }
bool is_not_host(ggml_backend_buffer_type_t) { return false; }

// Memory that is reserved and never touched.
void free_buffer(ggml_backend_buffer_t buffer) { std::free(buffer->context); }
void * base(ggml_backend_buffer_t buffer) { return buffer->context; }
void fill(ggml_backend_buffer_t, ggml_tensor *, uint8_t, size_t, size_t) {}
void write(ggml_backend_buffer_t, ggml_tensor *, const void *, size_t, size_t) {}
void read(ggml_backend_buffer_t, const ggml_tensor *, void *, size_t, size_t) {}
void clear(ggml_backend_buffer_t, uint8_t) {}
ggml_backend_buffer_t new_buffer(ggml_backend_buffer_type_t type, size_t size) {
    ggml_backend_buffer_i functions = {};
    functions.free_buffer = free_buffer;
    functions.get_base = base;
    functions.memset_tensor = fill;
    functions.set_tensor = write;
    functions.get_tensor = read;
    functions.clear = clear;
    return ggml_backend_buffer_init(type, functions, std::aligned_alloc(128, (size + 127) / 128 * 128), size);
}


// The logits that are handed out are allocated in earnest.
ggml_backend_buffer_t host_buffer(ggml_backend_buffer_type_t, size_t size) {
    return ggml_backend_buft_alloc_buffer(ggml_backend_cpu_buffer_type(), size);
}

const char * backend_name(ggml_backend_t backend) { return of(backend->device)->name.c_str(); }
void free_backend(ggml_backend_t backend) { delete backend; }
void synchronize(ggml_backend_t) {}
ggml_status compute(ggml_backend_t, ggml_cgraph *) { return GGML_STATUS_FAILED; }
// Weights of experts and their sum are one kernel, which needs what the experts gave until it is done.
void optimize(ggml_backend_t, ggml_cgraph * graph, ggml_backend_graph_optimize_params * found) {
    for (int index = 0; index < graph->n_nodes; index++) {
        ggml_tensor * node = graph->nodes[index];
        if (node->op != GGML_OP_MUL || !ggml_are_same_shape(node, node->src[0])) continue;
        ggml_tensor * weights = node->src[1];
        const int used = node->ne[1];
        const bool routed = weights->ne[0] == 1 && weights->ne[1] == used && weights->ne[2] == node->ne[2];
        const int last = index + 2 * used - 1;
        if (!routed || used < 2 || used > 15 || last >= graph->n_nodes || graph->nodes[last]->op != GGML_OP_ADD) continue;
        if (graph->nodes[index + 1]->op != GGML_OP_VIEW || graph->nodes[index + 1]->view_src != node) continue;
        found->add_alloc_dep(found->user_data, node->src[0], graph->nodes[last]);
        found->add_alloc_dep(found->user_data, weights, graph->nodes[last]);
    }
}
void event(ggml_backend_t, ggml_backend_event_t) {}

const char * device_name(ggml_backend_dev_t device) { return of(device)->name.c_str(); }
void memory(ggml_backend_dev_t, size_t * free, size_t * total) { *free = *total = size_t(80) << 30; }
enum ggml_backend_dev_type kind(ggml_backend_dev_t) { return GGML_BACKEND_DEVICE_TYPE_GPU; }
void properties(ggml_backend_dev_t device, ggml_backend_dev_props * found) {
    found->name = found->description = device_name(device);
    found->device_id = nullptr;
    found->type = GGML_BACKEND_DEVICE_TYPE_GPU;
    memory(device, &found->memory_free, &found->memory_total);
    found->caps = {};
    found->caps.async = found->caps.host_buffer = found->caps.events = true;
}
ggml_guid guid = {1, 2, 3};
ggml_backend_t start(ggml_backend_dev_t device, const char *) {
    auto * backend = new ggml_backend();
    backend->guid = &guid;
    backend->iface.get_name = backend_name;
    backend->iface.free = free_backend;
    backend->iface.synchronize = synchronize;
    backend->iface.graph_compute = compute;
    backend->iface.graph_optimize = optimize;
    backend->iface.event_record = event;
    backend->iface.event_wait = event;
    backend->device = device;
    return backend;
}
ggml_backend_buffer_type_t buffer_type(ggml_backend_dev_t device) { return &of(device)->buffers; }
ggml_backend_buffer_type_t host_type(ggml_backend_dev_t) { return &host_buffers; }
bool supports_op(ggml_backend_dev_t, const ggml_tensor *) { return true; }
bool supports_buffers(ggml_backend_dev_t device, ggml_backend_buffer_type_t type) {
    return type == &of(device)->buffers;
}
// Operations on 32 tokens or more are worth a copy of their weights; looking up rows is not.
bool offload_op(ggml_backend_dev_t, const ggml_tensor * op) {
    if (op->op == GGML_OP_GET_ROWS) return false;
    if (op->op == GGML_OP_MUL_MAT) return op->ne[1] >= 32;
    if (op->op == GGML_OP_MUL_MAT_ID || op->op == GGML_OP_ROPE) return op->ne[2] >= 32;
    return ggml_nrows(op) >= 32;
}
ggml_backend_event_t new_event(ggml_backend_dev_t device) { return new ggml_backend_event{device, nullptr}; }
void free_event(ggml_backend_dev_t, ggml_backend_event_t event) { delete event; }
void wait_event(ggml_backend_dev_t, ggml_backend_event_t) {}

const char * registry_name(ggml_backend_reg_t) { return "Pretended"; }
size_t count(ggml_backend_reg_t) { return devices.size(); }
ggml_backend_dev_t device_at(ggml_backend_reg_t, size_t index) { return &devices[index]; }
void * no_function(ggml_backend_reg_t, const char *) { return nullptr; }
}  // namespace

extern "C" __attribute__((visibility("default"))) ggml_backend_reg_t ggml_backend_init() {
    const char * asked = std::getenv("PRETENDED_DEVICES");
    const int number = asked ? std::atoi(asked) : 1;
    devices.resize(number);
    for (int index = 0; index < number; index++) {
        auto * context = new Device();
        context->name = "GPU" + std::to_string(index);
        context->buffers.iface = {buffers_name, new_buffer, alignment, nullptr, tensor_size, is_not_host};
        context->buffers.device = &devices[index];
        devices[index].iface = {device_name, device_name, memory, kind, properties, start, buffer_type, host_type,
                                nullptr, supports_op, supports_buffers, offload_op, new_event, free_event, wait_event};
        devices[index].reg = &registry;
        devices[index].context = context;
    }
    host_buffers.iface = {host_name, host_buffer, host_alignment, nullptr, nullptr, is_host};
    host_buffers.device = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    registry.api_version = GGML_BACKEND_API_VERSION;
    registry.iface = {registry_name, count, device_at, no_function};
    return &registry;
}

// Prints one line for each kind of memory: its name, bytes of weights, of caches and of compute buffers.
extern "C" __attribute__((visibility("default"))) void print_breakdown(const llama_context * context) {
    for (const auto & [kind, bytes] : llama_get_memory_breakdown(context)) {
        std::printf("%s %zu %zu %zu\n", ggml_backend_buft_name(kind), bytes.model, bytes.context, bytes.compute);
    }
    std::fflush(stdout);
}
