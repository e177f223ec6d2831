extern "C" __global__ void @NAME@(@PARAMETERS@, const Layout layout, long long n) {
  for (long long i = first_index(); i < n; i += index_step()) {
    long long at[@COUNT@];
    locate<@COUNT@>(layout, i, at);
    @LOADS@
    narrow(out + at[@LAST@], @RESULT@);
  }
}
