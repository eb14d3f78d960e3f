"""lora-train beside PEFT, torchtune and plain LibTorch: what `scripts/bench` runs."""
