// What PyTorch's dispatcher asks of a device: CUDA is there, it is device 0, its memory is the CPU's.
// Loaded with LD_PRELOAD, so that the two functions of at::accelerator take the place of PyTorch's own.
#include <ATen/DeviceAccelerator.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/FakeGuardImpl.h>

namespace {
using Guard = c10::impl::FakeGuardImpl<c10::DeviceType::CUDA>;
c10::impl::DeviceGuardImplRegistrar registrar(c10::DeviceType::CUDA, new Guard());
struct Chosen {
  Chosen() { Guard::setDeviceIndex(0); }
} chosen;
}  // namespace

namespace at {
struct CUDAHooks : public CUDAHooksInterface {
  CUDAHooks(CUDAHooksArgs) {}
  void init() const override {}
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasCUDA() const override { return true; }
  bool hasPrimaryContext(DeviceIndex) const override { return true; }
  DeviceIndex deviceCount() const override { return 1; }
  DeviceIndex getCurrentDevice() const override { return 0; }
  bool isPinnedPtr(const void*) const override { return false; }
  Allocator* getPinnedMemoryAllocator() const override { return c10::GetCPUAllocator(); }
};
REGISTER_CUDA_HOOKS(CUDAHooks)

namespace accelerator {
__attribute__((visibility("default"))) std::optional<c10::DeviceType> getAccelerator(bool) {
  return c10::DeviceType::CUDA;
}
__attribute__((visibility("default"))) bool isAccelerator(c10::DeviceType type) {
  return type == c10::DeviceType::CUDA;
}
}  // namespace accelerator
}  // namespace at
