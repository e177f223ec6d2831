// Rows less their means and over the roots of their mean squares, a block for each row; its
// elements may lie anywhere, as those of a channel do in a batch.
#include "block.cu"

extern "C" __global__ void standardize(const T* x, T* out, const Layout rows, const Layout inside,
                                       long long count, long long n, double eps, int centred) {
  for (long long r = blockIdx.x; r < count; r += gridDim.x) {
    long long base[2];
    locate<2>(rows, r, base);
    auto value = [&](long long i) {
      long long at;
      locate<1>(inside, i, &at);
      return (A)widen(x[base[0] + at]);
    };
    A mean = A(0);
    if (centred) mean = row_sum(n, value) / (A)n;
    A square = row_sum(n, [&](long long i) {
      A deviation = value(i) - mean;
      return deviation * deviation;
    });
    A root = sqrt(square / (A)n + (A)eps);
    for (long long i = threadIdx.x; i < n; i += 256) {
      long long at[2];
      locate<2>(inside, i, at);
      narrow(out + base[1] + at[1], ((A)widen(x[base[0] + at[0]]) - mean) / root);
    }
  }
}

extern "C" __global__ void standardize_grad(const T* g, const T* x, T* out, const Layout rows,
                                            const Layout inside, long long count, long long n,
                                            double eps, int centred) {
  for (long long r = blockIdx.x; r < count; r += gridDim.x) {
    long long base[3];
    locate<3>(rows, r, base);
    auto cotangent = [&](long long i) {
      long long at;
      locate<1>(inside, i, &at);
      return (A)widen(g[base[0] + at]);
    };
    auto value = [&](long long i) {
      long long at[2];
      locate<2>(inside, i, at);
      return (A)widen(x[base[1] + at[1]]);
    };
    A mean = A(0);
    if (centred) mean = row_sum(n, value) / (A)n;
    A square = row_sum(n, [&](long long i) {
      A deviation = value(i) - mean;
      return deviation * deviation;
    });
    A root = sqrt(square / (A)n + (A)eps);
    A along = row_sum(n, [&](long long i) { return cotangent(i) * ((value(i) - mean) / root); });
    along = along / (A)n;
    A level = A(0);
    if (centred) level = row_sum(n, cotangent) / (A)n;
    for (long long i = threadIdx.x; i < n; i += 256) {
      long long at[3];
      locate<3>(inside, i, at);
      A unit = ((A)widen(x[base[1] + at[1]]) - mean) / root;
      A rest = (A)widen(g[base[0] + at[0]]) - unit * along;
      narrow(out + base[2] + at[2], (centred ? rest - level : rest) / root);
    }
  }
}
