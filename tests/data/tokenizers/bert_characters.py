"""Writes what Hugging Face tokenizers takes each character for in BERT's tokenizer: src/ShardSharp.HuggingFace/Tokenizers/bert_characters.txt.

    python3 tests/data/tokenizers/bert_characters.py src/ShardSharp.HuggingFace/Tokenizers/bert_characters.txt
"""
import sys

from tokenizers import normalizers, pre_tokenizers


def normalizer(clean=False, accents=False, lower=False):
    return normalizers.BertNormalizer(clean_text=clean, handle_chinese_chars=False, strip_accents=accents, lowercase=lower)


def ranges(characters):
    found = []
    for character in characters:
        if found and found[-1][1] == character - 1:
            found[-1][1] = character
        else:
            found.append([character, character])
    return found


characters = [value for value in range(0x110000) if not 0xD800 <= value < 0xE000]
words = pre_tokenizers.BertPreTokenizer()
clean, plain, small = normalizer(clean=True), normalizer(accents=True), normalizer(lower=True)
stripped = {value: plain.normalize_str(chr(value)) for value in characters if not 0xAC00 <= value <= 0xD7A3}
lines = [("removed", *each) for each in ranges(value for value in characters if clean.normalize_str(f"a{chr(value)}b") == "ab")]
lines += [("punctuation", *each) for each in ranges(
    value for value in characters if [word for word, _ in words.pre_tokenize_str(f"a{chr(value)}b")] == ["a", chr(value), "b"])]
lines += [("accents", *each) for each in ranges(value for value, text in stripped.items() if not text)]
lines += [("plain", value, *map(ord, text)) for value, text in stripped.items() if text not in ("", chr(value))]
lowered = ((value, small.normalize_str(chr(value))) for value in characters)
lines += [("small", value, *map(ord, text)) for value, text in lowered if text != chr(value)]
with open(sys.argv[1], "w", encoding="ascii") as file:
    for kind, *values in lines:
        file.write(" ".join([kind, *(f"{value:x}" for value in values)]) + "\n")
