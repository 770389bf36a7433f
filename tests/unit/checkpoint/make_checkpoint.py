#!/usr/bin/env python3
# make_checkpoint.py IN.gguf OUT - writes the model of a GGUF file as a Hugging Face checkpoint, by its own reading of both formats.
#
# Matrices: I2_S, TQ1_0, TQ2_0; embeddings and head: F32, F16, Q6_K. Python 3 alone.
import argparse, json, os, struct, sys

NUMBERS = {0: 'B', 1: 'b', 2: 'H', 3: 'h', 4: 'I', 5: 'i', 6: 'f', 7: '?', 10: 'Q', 11: 'q', 12: 'd'}


class Gguf:
    def __init__(self, path):
        self.bytes, self.at = open(path, 'rb').read(), 8
        n_tensors, n_keys = self.number('Q'), self.number('Q')
        self.keys = {}
        for _ in range(n_keys):
            key = self.text().decode()
            self.keys[key] = self.value(self.number('I'))
        infos = []
        for _ in range(n_tensors):
            name = self.text().decode()
            extents = [self.number('Q') for _ in range(self.number('I'))]
            infos.append((name, extents, self.number('I'), self.number('Q')))
        align = self.keys.get('general.alignment', 32)
        start = -(-self.at // align) * align
        self.tensors = {name: (extents, kind, start + offset) for name, extents, kind, offset in infos}

    def number(self, code):
        value = struct.unpack_from('<' + code, self.bytes, self.at)[0]
        self.at += struct.calcsize(code)
        return value

    def text(self):
        n = self.number('Q')
        self.at += n
        return self.bytes[self.at - n:self.at]

    def value(self, kind):
        if kind == 8:
            return self.text()
        if kind == 9:
            element = self.number('I')
            return [self.value(element) for _ in range(self.number('Q'))]
        return self.number(NUMBERS[kind])

    # Values of a 1-D or 2-D tensor in floating point.
    def floats(self, name):
        extents, kind, at = self.tensors[name]
        n = extents[0] * (extents[1] if len(extents) > 1 else 1)
        if kind in (0, 1):
            return list(struct.unpack_from(f'<{n}{"f" if kind == 0 else "e"}', self.bytes, at))
        if kind == 14:
            return [v for b in range(n // 256) for v in q6_k(self.bytes[at + 210 * b:at + 210 * b + 210])]
        sys.exit(f'{name}: type {kind} is not read here')

    # Rows of trits, and the scale.
    def trits(self, name):
        (cols, rows), kind, at = self.tensors[name]
        flat, scale = [0] * (rows * cols), None
        if kind == 36:
            for i in range(rows * cols):
                flat[i] = (self.bytes[at + i // 128 * 32 + i % 32] >> (6 - 2 * (i % 128 // 32)) & 3) - 1
            scale = struct.unpack_from('<f', self.bytes, at + rows * cols // 4)[0]
        elif kind in (34, 35):
            size = 54 if kind == 34 else 66
            for b in range(rows * cols // 256):
                block = self.bytes[at + size * b:at + size * b + size]
                d = struct.unpack('<e', block[-2:])[0]
                if d != 0:
                    if scale not in (None, d):
                        sys.exit(f'{name}: several scales')
                    scale = d
                    flat[256 * b:256 * b + 256] = tq1_0(block) if kind == 34 else tq2_0(block)
        else:
            sys.exit(f'{name}: type {kind} is not read here')
        return [flat[r * cols:r * cols + cols] for r in range(rows)], scale


def f32(value):
    return struct.unpack('<f', struct.pack('<f', value))[0]


def q6_k(block):
    d = struct.unpack('<e', block[208:])[0]
    out = []
    for half in range(2):
        low, high, scales = block[64 * half:], block[128 + 32 * half:], struct.unpack('8b', block[192 + 8 * half:200 + 8 * half])
        part = [0.0] * 128
        for l in range(32):
            for k in range(4):
                nibble = low[l + 32 * (k % 2)] >> (4 * (k // 2)) & 15
                q = (nibble | (high[l] >> (2 * k) & 3) << 4) - 32
                part[l + 32 * k] = f32(f32(d * scales[2 * k + l // 16]) * q)
        out += part
    return out


def tq1_0(block):
    out = [0] * 256
    for n in range(5):
        for m in range(32):
            out[n * 32 + m] = ((block[m] * 3**n & 255) * 3 >> 8) - 1
        for m in range(16):
            out[160 + n * 16 + m] = ((block[32 + m] * 3**n & 255) * 3 >> 8) - 1
    for n in range(4):
        for j in range(4):
            out[240 + n * 4 + j] = ((block[48 + j] * 3**n & 255) * 3 >> 8) - 1
    return out


def tq2_0(block):
    return [(block[h * 32 + m] >> (2 * l) & 3) - 1 for h in range(2) for l in range(4) for m in range(32)]


def packed(rows):
    quarter = -(-len(rows) // 4)
    out = bytearray()
    for r in range(quarter):
        for c in range(len(rows[0])):
            byte = 0
            for i in range(4):
                row = i * quarter + r
                byte |= (rows[row][c] + 1 if row < len(rows) else 0) << (2 * i)
            out.append(byte)
    return bytes(out)


# GGUF row h*d + 2i + b lies in row h*d + b*(d/2) + i of the checkpoint.
def halves(rows, d):
    out = [None] * len(rows)
    for at, row in enumerate(rows):
        h, r = at // d, at % d
        out[h * d + r % 2 * (d // 2) + r // 2] = row
    return out


def numbers(values, dtype):
    if dtype == 'BF16':
        return b''.join(struct.pack('<f', v)[2:] for v in values)  # only for values that BF16 holds exactly
    return struct.pack(f'<{len(values)}{"e" if dtype == "F16" else "f"}', *values)


# GGUF names and those of checkpoints. Norms of inputs are called as in the published embedding models, or as transformers does.
def names(arch, n_layers, o):
    old, bare = o.old_names, '' if o.bare_names else 'model.'
    table = {'token_embd': bare + 'embed_tokens', 'output_norm': bare + 'norm', 'output': 'lm_head'}
    matrices = {'attn_q': 'self_attn.q_proj', 'attn_k': 'self_attn.k_proj', 'attn_v': 'self_attn.v_proj', 'attn_output': 'self_attn.o_proj',
                'ffn_gate': 'mlp.gate_proj', 'ffn_up': 'mlp.up_proj', 'ffn_down': 'mlp.down_proj'}
    norms = {'attn_norm': 'input_layernorm', 'ffn_norm': 'post_attention_layernorm', 'attn_q_norm': 'self_attn.q_norm',
             'attn_k_norm': 'self_attn.k_norm', 'attn_sub_norm': 'self_attn.' + ('inner_attn_ln' if old else 'attn_sub_norm'),
             'ffn_sub_norm': 'mlp.' + ('ffn_layernorm' if old else 'ffn_sub_norm')}
    if arch == 'gemma3':
        norms.update({'post_attention_norm': 'post_attention_layernorm', 'ffn_norm': 'pre_feedforward_layernorm',
                      'post_ffw_norm': 'post_feedforward_layernorm'})
    for n in range(n_layers):
        for ours, theirs in {**matrices, **norms}.items():
            table[f'blk.{n}.{ours}'] = f'{bare}layers.{n}.{theirs}'
        for ours, theirs in matrices.items():
            table[f'blk.{n}.{ours}_norm_in'] = f'{bare}layers.{n}.{theirs}.' + ('rms_norm' if o.rms_norm else 'norm')
    return table


def write_safetensors(path, tensors):
    header, data = {'__metadata__': {'format': 'pt'}}, b''
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {'dtype': dtype, 'shape': shape, 'data_offsets': [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    text += b' ' * (-len(text) % 8)
    with open(path, 'wb') as out:
        out.write(struct.pack('<Q', len(text)) + text + data)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('gguf')
    parser.add_argument('out')
    parser.add_argument('--matrices', choices=['packed', 'inverse', 'F32', 'BF16'], default='packed')
    parser.add_argument('--shards', type=int, default=1)
    parser.add_argument('--old-names', action='store_true')
    parser.add_argument('--bare-names', action='store_true')
    parser.add_argument('--rms-norm', action='store_true')
    parser.add_argument('--pooling', choices=['mean_tokens', 'cls_token', 'lasttoken', 'unsaid'])
    o = parser.parse_args()
    gguf = Gguf(o.gguf)
    arch = gguf.keys['general.architecture'].decode()
    key = lambda name, otherwise=None: gguf.keys.get(f'{arch}.{name}', otherwise)
    heads, d = key('attention.head_count'), key('rope.dimension_count')
    tensors = {}
    for ours, theirs in names(arch, key('block_count'), o).items():
        if ours + '.weight' not in gguf.tensors:
            continue
        extents, kind, _ = gguf.tensors[ours + '.weight']
        if kind not in (34, 35, 36):
            values, dtype = gguf.floats(ours + '.weight'), 'F16' if kind == 1 else 'F32'
            if arch == 'gemma3' and len(extents) == 1 and not ours.endswith('_norm_in'):
                values, dtype = [v - 1 for v in values], 'F32'  # the gain is stored less 1
            tensors[theirs + '.weight'] = (dtype, extents[::-1], numbers(values, dtype))
            continue
        rows, scale = gguf.trits(ours + '.weight')
        if arch == 'llama' and ours.endswith(('attn_q', 'attn_k')):
            rows = halves(rows, d)
        if o.matrices in ('packed', 'inverse'):
            tensors[theirs + '.weight'] = ('U8', [-(-extents[1] // 4), extents[0]], packed(rows))
            tensors[theirs + '.weight_scale'] = ('F32', [1], numbers([scale if o.matrices == 'packed' else 1 / scale], 'F32'))
        else:
            values = [t * scale for row in rows for t in row]
            tensors[theirs + '.weight'] = (o.matrices, extents[::-1], numbers(values, o.matrices))
    relu2 = arch in ('bitnet-b1.58', 'bitnet-25') or key('hidden_activation') == b'relu2'
    whole, bare, model_type = {'llama': ('LlamaForCausalLM', 'LlamaModel', 'llama'), 'qwen3': ('Qwen3ForCausalLM', 'Qwen3Model', 'qwen3'),
                               'gemma3': ('Gemma3ForCausalLM', 'Gemma3TextModel', 'gemma3_text')}.get(
                                   arch, ('BitnetForCausalLM' if o.old_names else 'BitNetForCausalLM', 'BitNetModel', 'bitnet'))
    config = {
        'architectures': [bare if o.pooling == 'unsaid' else whole], 'model_type': 'llama' if o.old_names else model_type,
        'hidden_size': key('embedding_length'), 'intermediate_size': key('feed_forward_length'), 'num_hidden_layers': key('block_count'),
        'num_attention_heads': heads, 'num_key_value_heads': key('attention.head_count_kv', heads), 'head_dim': d,
        'vocab_size': key('vocab_size'), 'max_position_embeddings': key('context_length'),
        'rms_norm_eps': key('attention.layer_norm_rms_epsilon'), 'rope_theta': key('rope.freq_base'), 'rope_scaling': None,
        'tie_word_embeddings': 'output.weight' not in gguf.tensors, 'torch_dtype': 'bfloat16'}
    if arch == 'gemma3':
        config.update({'hidden_activation': 'gelu_pytorch_tanh', 'query_pre_attn_scalar': d, 'attn_logit_softcapping': None,
                       'final_logit_softcapping': None, 'sliding_window': None})
    else:
        config['hidden_act'] = 'relu2' if relu2 else 'silu'
    if not o.old_names and not (o.pooling and o.matrices in ('F32', 'BF16')):
        config['quantization_config'] = {
            'quant_method': 'bitnet', 'linear_class': 'bitlinear' if o.matrices == 'inverse' else 'autobitlinear',
            'quantization_mode': 'offline' if o.matrices in ('packed', 'inverse') else 'online', 'modules_to_not_convert': None}
        if o.rms_norm:
            config['quantization_config'].update({'use_rms_norm': True, 'rms_norm_eps': config['rms_norm_eps']})
    os.makedirs(o.out, exist_ok=True)
    json.dump(config, open(os.path.join(o.out, 'config.json'), 'w'), indent=1)
    if o.pooling in ('mean_tokens', 'cls_token', 'lasttoken'):
        os.makedirs(os.path.join(o.out, '1_Pooling'), exist_ok=True)
        prefix = 'sentence_transformers.models.'
        json.dump([{'idx': i, 'name': str(i), 'path': path, 'type': prefix + kind}
                   for i, (path, kind) in enumerate([('', 'Transformer'), ('1_Pooling', 'Pooling'), ('2_Normalize', 'Normalize')])],
                  open(os.path.join(o.out, 'modules.json'), 'w'))
        json.dump({'word_embedding_dimension': config['hidden_size'],
                   **{'pooling_mode_' + mode: mode == o.pooling for mode in ('cls_token', 'mean_tokens', 'max_tokens', 'lasttoken')}},
                  open(os.path.join(o.out, '1_Pooling/config.json'), 'w'))
    if o.shards == 1:
        return write_safetensors(os.path.join(o.out, 'model.safetensors'), tensors)
    shards = [dict(list(tensors.items())[i::o.shards]) for i in range(o.shards)]
    weight_map = {}
    for i, part in enumerate(shards):
        file = f'model-{i + 1:05}-of-{o.shards:05}.safetensors'
        write_safetensors(os.path.join(o.out, file), part)
        weight_map.update({name: file for name in part})
    json.dump({'metadata': {}, 'weight_map': weight_map}, open(os.path.join(o.out, 'model.safetensors.index.json'), 'w'))


main()
