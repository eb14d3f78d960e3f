#pragma once
// SIGINT and SIGTERM as a wish that the training loop asks about once a step.

namespace lora {

// The first signal is noted; a second one ends the process at once, as it would have without this.
void note_stop_signals();

// The signal noted, 0 where there was none.
int stop_signal();

}  // namespace lora
