// CUB's reductions of data on the card, and a plain read of it. Started by
// run-gpu, one object of JSON on each line of stdout:
//
//   cub_peers card DEVICE BYTES ROUNDS
//   cub_peers TYPE DEVICE FILE REPEATS ROUNDS
//
// FILE is a block of elements, of which the data set is so many. CUDA 11.8 or
// newer.

#include <algorithm>
#include <chrono>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <type_traits>
#include <vector>

#include <cuda_runtime.h>

#include <cub/device/device_reduce.cuh>
#include <cub/version.cuh>

static void check(cudaError_t status, const char* what, int line) {
  if (status != cudaSuccess) {
    std::fprintf(stderr, "cub_peers.cu:%d: %s: %s\n", line, what, cudaGetErrorString(status));
    std::exit(1);
  }
}
#define CHECK(call) check((call), #call, __LINE__)

static void fail(const char* text) {
  std::fprintf(stderr, "cub_peers: %s\n", text);
  std::exit(1);
}

// Runs before the first that counts: clocks go up, caches of code fill.
static const int WARM_UPS = 10;

// The median of the seconds that `work` takes on the card, by its own clock.
template <typename Work>
static double seconds_of(int rounds, Work work) {
  cudaEvent_t begin, end;
  CHECK(cudaEventCreate(&begin));
  CHECK(cudaEventCreate(&end));
  std::vector<float> times;
  for (int round = 0; round < rounds + WARM_UPS; ++round) {
    CHECK(cudaEventRecord(begin));
    work();
    CHECK(cudaEventRecord(end));
    CHECK(cudaEventSynchronize(end));
    float milliseconds = 0;
    CHECK(cudaEventElapsedTime(&milliseconds, begin, end));
    if (round >= WARM_UPS) times.push_back(milliseconds);
  }
  CHECK(cudaEventDestroy(begin));
  CHECK(cudaEventDestroy(end));
  std::sort(times.begin(), times.end());
  return times[times.size() / 2] / 1e3;
}

static void need_memory(size_t bytes) {
  size_t free_bytes = 0, total_bytes = 0;
  CHECK(cudaMemGetInfo(&free_bytes, &total_bytes));
  if (free_bytes < bytes + (size_t(64) << 20)) {
    fail("the card has too little free memory; use a smaller --bytes");
  }
}

// Reads everything once. The store is there for the compiler alone.
__global__ void read_all(const uint4* data, size_t count, unsigned* never) {
  const size_t stride = size_t(gridDim.x) * blockDim.x;
  size_t i = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  unsigned seen = 0;
  // Four loads under way in each thread.
  for (; i + 3 * stride < count; i += 4 * stride) {
    const uint4 a = data[i];
    const uint4 b = data[i + stride];
    const uint4 c = data[i + 2 * stride];
    const uint4 d = data[i + 3 * stride];
    seen ^= a.x ^ a.y ^ a.z ^ a.w ^ b.x ^ b.y ^ b.z ^ b.w;
    seen ^= c.x ^ c.y ^ c.z ^ c.w ^ d.x ^ d.y ^ d.z ^ d.w;
  }
  for (; i < count; i += stride) {
    const uint4 a = data[i];
    seen ^= a.x ^ a.y ^ a.z ^ a.w;
  }
  if (seen == 0x9e3779b9u) *never = seen;
}

// GB/s of the fastest of a few grids.
static double read_rate(int processors, size_t bytes, int rounds) {
  need_memory(bytes);
  const size_t count = bytes / sizeof(uint4);
  uint4* data = nullptr;
  unsigned* never = nullptr;
  CHECK(cudaMalloc(reinterpret_cast<void**>(&data), count * sizeof(uint4)));
  CHECK(cudaMalloc(reinterpret_cast<void**>(&never), sizeof(unsigned)));
  CHECK(cudaMemset(data, 1, count * sizeof(uint4)));
  double best = 0;
  for (int blocks_each = 4; blocks_each <= 64; blocks_each *= 2) {
    const unsigned blocks = unsigned(processors * blocks_each);
    const double seconds = seconds_of(rounds, [&] {
      read_all<<<blocks, 256>>>(data, count, never);
      CHECK(cudaGetLastError());
    });
    best = std::max(best, count * sizeof(uint4) / seconds / 1e9);
  }
  CHECK(cudaFree(data));
  CHECK(cudaFree(never));
  return best;
}

static int attribute(cudaDeviceAttr which, int device) {
  int value = 0;
  CHECK(cudaDeviceGetAttribute(&value, which, device));
  return value;
}

static void print_card(int device, size_t bytes, int rounds) {
  cudaDeviceProp properties;
  CHECK(cudaGetDeviceProperties(&properties, device));
  // 0 where the driver does not tell.
  int clock_khz = 0, bus_bits = 0;
  if (cudaDeviceGetAttribute(&clock_khz, cudaDevAttrMemoryClockRate, device) != cudaSuccess ||
      cudaDeviceGetAttribute(&bus_bits, cudaDevAttrGlobalMemoryBusWidth, device) != cudaSuccess) {
    clock_khz = bus_bits = 0;
    (void)cudaGetLastError();
  }
  int driver = 0, runtime = 0;
  CHECK(cudaDriverGetVersion(&driver));
  CHECK(cudaRuntimeGetVersion(&runtime));
  // Two transfers in each cycle.
  const double peak = 2.0 * clock_khz * 1e3 * bus_bits / 8 / 1e9;
  const double read = read_rate(attribute(cudaDevAttrMultiProcessorCount, device), bytes, rounds);
  std::printf("{\"name\":\"%s\",\"memory_bytes\":%zu,\"ecc\":%d,\"driver_cuda\":%d,"
              "\"runtime_cuda\":%d,\"cub\":%d,\"peak_gb_per_s\":%.3f,\"read_gb_per_s\":%.3f}\n",
              properties.name, properties.totalGlobalMem, attribute(cudaDevAttrEccEnabled, device),
              driver, runtime, CUB_VERSION, peak, read);
}

// A number as JSON would have it, to the last bit.
template <typename T>
static std::string text(T value) {
  if (!std::is_floating_point<T>::value) return std::to_string((long long)value);
  char digits[64];
  std::snprintf(digits, sizeof digits, "%.17g", double(value));
  return digits;
}

template <typename T>
static T fetched(const T* on_card) {
  T value;
  CHECK(cudaMemcpy(&value, on_card, sizeof value, cudaMemcpyDeviceToHost));
  return value;
}

// A block of elements from a file, so many times, on the card.
template <typename T>
struct Data {
  T* elements = nullptr;
  size_t count = 0;

  Data(const char* path, size_t repeats) {
    std::FILE* file = std::fopen(path, "rb");
    if (!file) fail("the block cannot be opened");
    std::vector<char> block(size_t(64) << 20);
    const size_t bytes = std::fread(block.data(), 1, block.size(), file);
    std::fclose(file);
    count = bytes / sizeof(T) * repeats;
    // CUB before 3.0 counts by `int`.
    if (count == 0 || count > size_t(INT_MAX)) fail("no elements, or more than CUB can count");
    need_memory(bytes * repeats);
    CHECK(cudaMalloc(reinterpret_cast<void**>(&elements), bytes * repeats));
    char* at = reinterpret_cast<char*>(elements);
    for (size_t i = 0; i < repeats; ++i) {
      CHECK(cudaMemcpy(at + i * bytes, block.data(), bytes, cudaMemcpyHostToDevice));
    }
  }
};

// Seconds of the kernels, and of all until the host has the answer.
struct Times {
  double kernels = 0;
  double whole = 0;
};

// CUB's calls come in pairs: the first asks how much scratch memory they need.
template <typename Call, typename T>
static Times times_of(int rounds, const T* answer, Call call) {
  size_t scratch_bytes = 0;
  CHECK(call(nullptr, scratch_bytes));
  void* scratch = nullptr;
  CHECK(cudaMalloc(&scratch, std::max(scratch_bytes, size_t(1))));
  Times times;
  times.kernels = seconds_of(rounds, [&] { CHECK(call(scratch, scratch_bytes)); });
  std::vector<double> whole;
  for (int round = 0; round < rounds; ++round) {
    const auto begin = std::chrono::steady_clock::now();
    CHECK(call(scratch, scratch_bytes));
    fetched(answer);
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
    whole.push_back(passed.count());
  }
  std::sort(whole.begin(), whole.end());
  times.whole = whole[whole.size() / 2];
  CHECK(cudaFree(scratch));
  return times;
}

template <typename T>
static void print_row(const char* what, const char* total, const Data<T>& data, Times times,
                      const std::string& answer) {
  std::printf("{\"what\":\"%s\",\"total\":\"%s\",\"elements\":%zu,\"bytes\":%zu,"
              "\"seconds\":%.9f,\"kernel_s\":%.9f,\"answer\":\"%s\"}\n",
              what, total, data.count, data.count * sizeof(T), times.whole, times.kernels,
              answer.c_str());
  // What is measured stays measured if a later one hangs.
  std::fflush(stdout);
}

template <typename Total, typename T>
static void sum(const char* total, const Data<T>& data, int rounds) {
  Total* out = nullptr;
  CHECK(cudaMalloc(reinterpret_cast<void**>(&out), sizeof(Total)));
  const Times times = times_of(rounds, out, [&](void* scratch, size_t& bytes) {
    return cub::DeviceReduce::Sum(scratch, bytes, data.elements, out, int(data.count));
  });
  print_row("sum", total, data, times, text(fetched(out)));
  CHECK(cudaFree(out));
}

template <typename T>
static void min(const char* type, const Data<T>& data, int rounds) {
  T* out = nullptr;
  CHECK(cudaMalloc(reinterpret_cast<void**>(&out), sizeof(T)));
  const Times times = times_of(rounds, out, [&](void* scratch, size_t& bytes) {
    return cub::DeviceReduce::Min(scratch, bytes, data.elements, out, int(data.count));
  });
  print_row("min", type, data, times, text(fetched(out)));
  CHECK(cudaFree(out));
}

template <typename T>
static void argmin(const Data<T>& data, int rounds) {
#if CUB_VERSION >= 200800
  T* value = nullptr;
  int64_t* place = nullptr;
  CHECK(cudaMalloc(reinterpret_cast<void**>(&value), sizeof(T)));
  CHECK(cudaMalloc(reinterpret_cast<void**>(&place), sizeof(int64_t)));
  const Times times = times_of(rounds, place, [&](void* scratch, size_t& bytes) {
    return cub::DeviceReduce::ArgMin(scratch, bytes, data.elements, value, place,
                                     int64_t(data.count));
  });
  print_row("argmin", "int64", data, times, text(fetched(place)));
  CHECK(cudaFree(value));
  CHECK(cudaFree(place));
#else
  cub::KeyValuePair<int, T>* out = nullptr;
  CHECK(cudaMalloc(reinterpret_cast<void**>(&out), sizeof(*out)));
  const Times times = times_of(rounds, out, [&](void* scratch, size_t& bytes) {
    return cub::DeviceReduce::ArgMin(scratch, bytes, data.elements, out, int(data.count));
  });
  print_row("argmin", "int32", data, times, text(fetched(out).key));
  CHECK(cudaFree(out));
#endif
}

template <typename T, typename Total>
static void reduce(const char* type, const char* total, char** words, int rounds) {
  const Data<T> data(words[3], size_t(std::atoll(words[4])));
  sum<Total>(total, data, rounds);
  // CUB's way to more digits: convert each element.
  if (std::is_same<T, float>::value) sum<double>("float64", data, rounds);
  min(type, data, rounds);
  argmin(data, rounds);
}

int main(int count, char** words) {
  const std::string kind = count > 1 ? words[1] : "";
  if (count != (kind == "card" ? 5 : 6)) fail("see the head of cub_peers.cu for its arguments");
  const int device = std::atoi(words[2]), rounds = std::max(1, std::atoi(words[count - 1]));
  CHECK(cudaSetDevice(device));
  if (kind == "card") {
    print_card(device, size_t(std::atoll(words[3])), rounds);
  } else if (kind == "float32") {
    reduce<float, float>("float32", "float32", words, rounds);
  } else if (kind == "float64") {
    reduce<double, double>("float64", "float64", words, rounds);
  } else if (kind == "int32") {
    reduce<int32_t, int64_t>("int32", "int64", words, rounds);
  } else if (kind == "int64") {
    reduce<int64_t, int64_t>("int64", "int64", words, rounds);
  } else {
    fail("an unknown type of elements");
  }
  return 0;
}
