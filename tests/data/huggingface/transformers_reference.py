"""What transformers computes with tiny models of every supported kind, for the tests of ShardSharp.HuggingFace.

make FOLDER [--seed N] [--scale N] [NAME...]   writes a folder per model: config.json, model.safetensors, reference.safetensors
check FOLDER...                                loads models that ShardSharp saved and compares their logits with reference.safetensors
"""
import argparse
import pathlib

import torch
import transformers
from safetensors.torch import load_file, save_file

BATCH, SEQUENCE = 2, 24

LLAMA3 = {"rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 16}
YARN = {"rope_type": "yarn", "rope_theta": 500.0, "factor": 4.0, "original_max_position_embeddings": 16}


def decoder(scale, **options):
    shape = {"vocab_size": 48, "hidden_size": 32 * scale, "intermediate_size": 40 * scale, "num_hidden_layers": 2,
             "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64, "pad_token_id": None,
             "bos_token_id": 0, "eos_token_id": 0}
    return shape | options


def gpt(scale, **options):
    return {"vocab_size": 48, "n_embd": 32 * scale, "n_layer": 2, "n_head": 4, "n_positions": 32, "bos_token_id": 0,
            "eos_token_id": 0} | options


def encoder(scale, **options):
    return {"vocab_size": 48, "hidden_size": 32 * scale, "intermediate_size": 40 * scale, "num_hidden_layers": 2,
            "num_attention_heads": 4, "max_position_embeddings": 32} | options


MODELS = {
    "gpt2-options": lambda s: transformers.GPT2Config(**gpt(
        s, n_inner=48, activation_function="gelu", scale_attn_by_inverse_layer_idx=True, tie_word_embeddings=False)),
    "gpt2-unscaled": lambda s: transformers.GPT2Config(**gpt(s, scale_attn_weights=False, activation_function="relu")),
    "gptj": lambda s: transformers.GPTJConfig(**gpt(s, rotary_dim=4)),
    "gpt-neox": lambda s: transformers.GPTNeoXConfig(**encoder(s, hidden_act="gelu_fast")),
    "gpt-neox-serial": lambda s: transformers.GPTNeoXConfig(**encoder(
        s, use_parallel_residual=False, attention_bias=False, tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 100.0, "partial_rotary_factor": 0.5})),
    "llama-tied": lambda s: transformers.LlamaConfig(**decoder(
        s, tie_word_embeddings=True, attention_bias=True, mlp_bias=True, head_dim=12, rope_parameters=LLAMA3, pad_token_id=3)),
    "llama-linear": lambda s: transformers.LlamaConfig(**decoder(
        s, num_key_value_heads=4, hidden_act="gelu", rope_parameters={"rope_type": "linear", "rope_theta": 10000.0, "factor": 3.0})),
    "mistral": lambda s: transformers.MistralConfig(**decoder(s, sliding_window=7)),
    "mixtral-window": lambda s: transformers.MixtralConfig(**decoder(
        s, num_local_experts=3, num_experts_per_tok=2, sliding_window=9, head_dim=8)),
    "qwen2": lambda s: transformers.Qwen2Config(**decoder(
        s, use_sliding_window=True, sliding_window=5, max_window_layers=1, tie_word_embeddings=True)),
    "qwen3": lambda s: transformers.Qwen3Config(**decoder(s, head_dim=16, rope_parameters=YARN)),
    "bert": lambda s: transformers.BertConfig(**encoder(s)),
    "roberta": lambda s: transformers.RobertaConfig(**encoder(s)),
}


def fill(model):
    """Numbers that matter everywhere, unlike those of an untrained model: no bias is zero, and no norm is one."""
    with torch.no_grad():
        for name, value in model.named_parameters():
            around = 1.0 if "norm" in name.lower() or "ln_" in name else 0.0
            if name.endswith("bias"):
                around = 0.0
            value.normal_(around, 0.15 if value.dim() > 1 else 0.2)


def make(folder, name, seed, scale):
    torch.manual_seed(seed)
    config = MODELS[name](scale)
    masked = config.model_type in ("bert", "roberta")
    kind = transformers.AutoModelForMaskedLM if masked else transformers.AutoModelForCausalLM
    model = kind.from_config(config, dtype=torch.float32).eval()
    fill(model)
    model.tie_weights()

    tokens = torch.randint(config.vocab_size, (BATCH, SEQUENCE + 1))
    inputs, labels = tokens[:, :-1].contiguous(), tokens[:, 1:].clone()
    labels[0, :3] = -100
    logits = model(input_ids=inputs).logits
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
    loss.backward()
    reference = {"input_ids": inputs, "labels": labels, "logits": logits.detach(), "loss": loss.detach().reshape(1)}
    reference |= {f"grad.{parameter}": value.grad for parameter, value in model.named_parameters()}
    norm = torch.nn.utils.get_total_norm([value.grad for value in model.parameters()])
    reference["grad_norm"] = norm.reshape(1)
    if not masked:
        with torch.no_grad():
            reference["next_token_loss"] = model(input_ids=inputs, labels=inputs).loss.reshape(1)

    folder = pathlib.Path(folder) / name
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    save_file({key: value.contiguous() for key, value in reference.items()}, folder / "reference.safetensors")
    print(f"{name}: loss {loss.item():.6f}, {sum(value.numel() for value in model.parameters())} parameters")


def check(folder):
    folder = pathlib.Path(folder)
    config = transformers.AutoConfig.from_pretrained(folder)
    kind = transformers.AutoModelForMaskedLM if config.model_type in ("bert", "roberta") else transformers.AutoModelForCausalLM
    model, info = kind.from_pretrained(folder, output_loading_info=True)
    problems = {key: value for key, value in info.items() if value}
    reference = load_file(folder / "reference.safetensors")
    with torch.no_grad():
        logits = model.eval()(input_ids=reference["input_ids"]).logits
    difference = ((logits - reference["logits"]).norm() / reference["logits"].norm()).item()
    print(f"{folder.name}: logits differ by {difference:.2e}; {problems or 'every parameter was there'}")
    return difference <= 1e-5 and not problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    maker = commands.add_parser("make")
    maker.add_argument("folder")
    maker.add_argument("names", nargs="*", default=list(MODELS))
    maker.add_argument("--seed", type=int, default=0)
    maker.add_argument("--scale", type=int, default=1, help="by how much wider than the smallest")
    commands.add_parser("check").add_argument("folders", nargs="+")
    options = parser.parse_args()
    if options.command == "check":
        raise SystemExit(0 if all([check(folder) for folder in options.folders]) else 1)
    for name in options.names:
        make(options.folder, name, options.seed, options.scale)


main()
