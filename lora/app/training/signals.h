#pragma once
// SIGINT and SIGTERM as a wish that the training loop asks about once a step.

namespace lora {

// The first signal is noted; a second one ends the process at once, as it would have without this. `together`: with
// other processes, by a launcher. SIGUSR1, which mpirun passes on to them at once, is then noted as SIGTERM.
void note_stop_signals(bool together);

// The signal noted, 0 where there was none.
int stop_signal();

}  // namespace lora
