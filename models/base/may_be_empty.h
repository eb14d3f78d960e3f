#pragma once
// An alternative that keeps a variant right where memory runs out.

namespace lora {

// libstdc++ 12 takes it for granted that a variant of strings, vectors and plain values always holds one of them. Where
// an allocation fails while such a variant is copied, it destroys what was never made. One alternative with a copy
// constructor of its own makes it look.
struct MayBeEmpty {
  MayBeEmpty() = default;
  MayBeEmpty(const MayBeEmpty&) noexcept {}  // NOLINT(modernize-use-equals-default): see above
  MayBeEmpty& operator=(const MayBeEmpty&) = default;
  ~MayBeEmpty() = default;
  bool operator==(const MayBeEmpty&) const = default;
};

}  // namespace lora
