"""A GGUF file as llama.cpp writes them: a random Qwen2 of 2 layers, with a tokenizer of single bytes and one pair."""

from __future__ import annotations

from pathlib import Path

CONTEXT, WIDTH, HIDDEN, HEADS, KV_HEADS, LAYERS = 128, 32, 64, 4, 2, 2
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
PARAMETERS = (
    2 * 260 * WIDTH
    + WIDTH
    + LAYERS * (2 * WIDTH + 2 * (WIDTH * WIDTH) + WIDTH + 2 * (WIDTH * 16) + 2 * 16 + 3 * WIDTH * HIDDEN)
)


def small_gguf(path: Path, *, architecture: str = "qwen2") -> Path:
    """Write the file; weights are float32."""
    import gguf
    import numpy
    from tokenizers import pre_tokenizers

    random = numpy.random.default_rng(0)
    tokens = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "he", *SPECIAL]
    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_name("Small Random")
    writer.add_license("apache-2.0")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10_000.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * 257 + [3] * len(SPECIAL))
    writer.add_token_merges(["h e"])
    writer.add_eos_token_id(len(tokens) - 1)
    writer.add_pad_token_id(257)
    writer.add_chat_template(TEMPLATE)

    def add(name: str, *shape: int) -> None:
        values = random.normal(0.0, 0.3, shape) if len(shape) > 1 else numpy.ones(shape)
        writer.add_tensor(name, values.astype(numpy.float32))

    add("token_embd.weight", len(tokens), WIDTH)
    add("output_norm.weight", WIDTH)
    add("output.weight", len(tokens), WIDTH)
    narrow = WIDTH // HEADS * KV_HEADS
    for i in range(LAYERS):
        for norm in ("attn_norm", "ffn_norm"):
            add(f"blk.{i}.{norm}.weight", WIDTH)
        for part, rows in (("attn_q", WIDTH), ("attn_k", narrow), ("attn_v", narrow)):
            add(f"blk.{i}.{part}.weight", rows, WIDTH)
            add(f"blk.{i}.{part}.bias", rows)
        add(f"blk.{i}.attn_output.weight", WIDTH, WIDTH)
        for part in ("ffn_gate", "ffn_up"):
            add(f"blk.{i}.{part}.weight", HIDDEN, WIDTH)
        add(f"blk.{i}.ffn_down.weight", WIDTH, HIDDEN)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
