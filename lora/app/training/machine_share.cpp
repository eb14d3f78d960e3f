#include "lora/app/training/machine_share.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "lora/app/training/machine.h"
#include "lora/terminal/facts.h"
#include "lora/terminal/table.h"
#include "lora/terminal/text.h"
#include "models/base/error.h"
#include "models/base/numbers.h"

namespace lora {
namespace {

// "0-3, 8"
std::string ranges_of(const std::vector<int>& numbers) {
  std::string text;
  for (size_t i = 0; i < numbers.size();) {
    size_t end = i + 1;
    while (end < numbers.size() && numbers[end] == numbers[end - 1] + 1) ++end;
    text += (text.empty() ? "" : ", ") + std::to_string(numbers[i]);
    if (end - i > 1) text += "-" + std::to_string(numbers[end - 1]);
    i = end;
  }
  return text;
}

std::string number_of(int64_t count, const std::string& what, const std::string& plural) {
  return with_commas(count) + " " + (count == 1 ? what : plural);
}

}  // namespace

MachineShare share_machine(Replicas& replicas, bool unbind, int64_t threads) {
  if (replicas.count() == 1) return {.threads = threads};
  if (unbind) use_all_cores();
  const CoreList cores = usable_cores();
  const std::vector<nlohmann::json> all = gather_values(replicas, {machine_name(), cores});
  MachineShare share{.rank = 0, .processes = 0, .threads = threads};
  bool same_cores = true;
  for (size_t rank = 0; rank < all.size(); ++rank) {
    if (all[rank][0] != all[as_size(replicas.rank())][0]) continue;
    if (as_size(replicas.rank()) == rank) share.rank = share.processes;
    ++share.processes;
    same_cores = same_cores && all[rank][1] == nlohmann::json(cores);
  }
  if (threads > 0) return share;
  const int64_t count = std::ssize(cores);
  if (!same_cores) {
    share.threads = count;
  } else if (share.processes > count) {
    share.threads = 1;
  } else {
    const auto at = [&](int64_t rank) { return cores.begin() + rank * count / share.processes; };
    const CoreList own(at(share.rank), at(share.rank + 1));
    use_cores(own);
    share.threads = std::ssize(own);
  }
  return share;
}

int64_t shared_memory_bytes(Replicas& replicas, const MachineShare& share, int64_t machine_bytes) {
  int64_t least = machine_bytes / share.processes;
  for (const nlohmann::json& one : gather_values(replicas, least)) least = std::min(least, one.get<int64_t>());
  return least;
}

std::string processes_report(Replicas& replicas, const MachineShare& share, int64_t passes, SumOrder order,
                             int64_t bytes) {
  if (replicas.count() == 1) return "";
  std::vector<int> cpus;
  for (const std::vector<int>& core : usable_cores()) cpus.push_back(core.front());
  std::ranges::sort(cpus);
  const std::vector<nlohmann::json> all = gather_values(
      replicas,
      {machine_name(), host_name(), at::get_num_threads(), ranges_of(cpus), share.processes, instruction_set()});
  std::set<std::string> machines, kinds;
  for (const nlohmann::json& one : all) {
    machines.insert(one[0].get<std::string>());
    kinds.insert(one[5].get<std::string>());
  }
  std::string line = std::to_string(replicas.count()) + " on " +
                     number_of(std::ssize(machines), "machine", "machines") + ", for " +
                     number_of(passes, "pass", "passes") + " a step";
  if (const int64_t most = ceil_div(passes, replicas.count()); most * replicas.count() != passes) {
    line += ", at most " + with_commas(most) + " each";
  }
  line += order == SumOrder::kTree
              ? "; the bits are those of one process with as many threads"
              : "; the network is trained whole: bits depend on their number, losses agree to 1e-6";
  if (kinds.size() > 1) line += "\nthe processors differ, and with them the bits of passes";
  std::vector<std::vector<std::string>> rows;
  constexpr size_t kShown = 16;
  for (size_t rank = 0; rank < std::min(kShown, all.size()); ++rank) {
    const nlohmann::json& one = all[rank];
    rows.push_back({"rank " + std::to_string(rank), one[1], number_of(one[2].get<int64_t>(), "thread", "threads"),
                    "cores " + one[3].get<std::string>(),
                    "about " + as_bytes(bytes * one[4].get<int64_t>()) + " on its machine"});
  }
  std::string text = fact("Processes", line) + plain_table(rows, {false, false, true, false, false});
  if (all.size() > kShown) text += "  and " + std::to_string(all.size() - kShown) + " more\n";
  return text;
}

void expect_enough_passes(const Replicas& replicas, int64_t passes, const std::string& adapter) {
  if (passes >= replicas.count()) return;
  throw DistributedError((adapter.empty() ? "" : "adapter '" + adapter + "': ") + "a step has " +
                         number_of(passes, "pass", "passes") + " for " + std::to_string(replicas.count()) +
                         " processes; expected a pass for each at least: start fewer, raise training.batch_size, or " +
                         "lower training.micro_batch_size");
}

}  // namespace lora
