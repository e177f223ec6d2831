// Optimizer updates of up to 32 tensors by one launch: blockIdx.y chooses the tensor.
struct Tensors {
  long long pointers[7][32];
  long long sizes[32];
};

__device__ __forceinline__ T* tensor_of(const Tensors& t, int which) {
  return (T*)t.pointers[which][blockIdx.y];
}

// Tensors: parameters, gradients, old momenta, new parameters, new momenta.
extern "C" __global__ void sgd_update(const double* lr, const Tensors tensors, double momentum,
                                      double dampening, double weight_decay, int nesterov,
                                      int maximize, int first) {
  const T *param = tensor_of(tensors, 0), *grad = tensor_of(tensors, 1), *old = tensor_of(tensors, 2);
  T *new_param = tensor_of(tensors, 3), *new_buffer = tensor_of(tensors, 4);
  A rate = (A)*lr;
  for (long long i = first_index(); i < tensors.sizes[blockIdx.y]; i += index_step()) {
    A p = widen(param[i]), g = widen(grad[i]);
    if (maximize) g = -g;
    if (weight_decay != 0.0) g = g + (A)weight_decay * p;
    if (momentum != 0.0) {
      A buffer = first ? g : (A)momentum * widen(old[i]) + (A)(1.0 - dampening) * g;
      narrow(new_buffer + i, buffer);
      g = nesterov ? g + (A)momentum * buffer : buffer;
    }
    narrow(new_param + i, p - rate * g);
  }
}

// Tensors: parameters, gradients, means, second moments, and the new three.
extern "C" __global__ void adam_update(const double* lr, const double* step, const Tensors tensors,
                                       double beta1, double beta2, double eps, double weight_decay,
                                       int decoupled, int maximize) {
  const T *param = tensor_of(tensors, 0), *grad = tensor_of(tensors, 1);
  const T *mean = tensor_of(tensors, 2), *second = tensor_of(tensors, 3);
  T *new_param = tensor_of(tensors, 4), *new_mean = tensor_of(tensors, 5);
  T* new_second = tensor_of(tensors, 6);
  A size = (A)(*lr / (1.0 - pow(beta1, *step)));
  A correction = (A)sqrt(1.0 - pow(beta2, *step)), shrink = (A)(1.0 - *lr * weight_decay);
  for (long long i = first_index(); i < tensors.sizes[blockIdx.y]; i += index_step()) {
    A p = widen(param[i]), g = widen(grad[i]), m = widen(mean[i]), v = widen(second[i]);
    if (maximize) g = -g;
    if (weight_decay != 0.0 && decoupled) p = p * shrink;
    if (weight_decay != 0.0 && !decoupled) g = g + (A)weight_decay * p;
    m = m + (A)(1.0 - beta1) * (g - m);
    v = (A)beta2 * v + (A)(1.0 - beta2) * (g * g);
    narrow(new_param + i, p - size * (m / (sqrt(v) / correction + (A)eps)));
    narrow(new_mean + i, m);
    narrow(new_second + i, v);
  }
}
