#!/usr/bin/env python3
"""golden/convert_formats.py - writes a GGUF model in other ternary formats: what tests compare the runtime's readers and `convert` with.

Written from the descriptions of the formats, apart from the runtime: nothing here calls it. Keys and other tensors are copied;
general.file_type gets the number of the format. Formats that cannot hold a model's shapes or scales exactly are left out, unless
the scales fit a tensor NAME.scale (f16 formats).

    convert_formats.py MODEL.gguf OUT_FOLDER [--kernel-config FILE]     # writes OUT_FOLDER/FORMAT.gguf, FORMAT.ini for tl1, tl2
"""
import argparse
import configparser
import math
import os
import struct

I2S, TL1, TL2, TQ1, TQ2, Q2_0, IQ1, IQ2, R4 = 36, 38, 39, 34, 35, 42, 134, 135, 335
FILE_TYPES = {"i2s-x86": 40, "i2s-arm64": 40, "i2s-x86-4row": 40, "i2s-seq": 40, "tl1": 38, "tl2": 39, "tq1_0": 36, "tq2_0": 37,
              "q2_0": 41, "iq1_bn": 136, "iq2_bn": 137, "iq2_bn_r4": 337}


class Unsuited(Exception):
    pass


# ---------------------------------------------------------------- container

class Gguf:
    NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "B", 10: "Q", 11: "q", 12: "d"}

    def __init__(self, path):
        with open(path, "rb") as file:
            self.bytes = file.read()
        self.at = 8
        n_tensors, n_keys = self.number("q"), self.number("q")
        self.keys = [self.key() for _ in range(n_keys)]  # (name, type, raw bytes behind the type)
        self.alignment = next((struct.unpack("<I", raw)[0] for name, _, raw in self.keys if name == "general.alignment"), 32)
        infos = [self.tensor_info() for _ in range(n_tensors)]
        start = -(-self.at // self.alignment) * self.alignment
        ends = [offset for _, _, _, offset in infos[1:]] + [len(self.bytes) - start]
        self.tensors = [(name, extents, kind, self.bytes[start + offset:start + end])
                        for (name, extents, kind, offset), end in zip(infos, ends)]

    def number(self, form):
        value = struct.unpack_from("<" + form, self.bytes, self.at)[0]
        self.at += struct.calcsize(form)
        return value

    def string(self):
        length = self.number("Q")
        self.at += length
        return self.bytes[self.at - length:self.at]

    def skip(self, kind, count):
        for _ in range(count if kind == 8 else 0):
            self.string()
        if kind != 8:
            self.at += count * struct.calcsize(self.NUMBERS[kind])

    def key(self):
        name = self.string().decode()
        kind, begin = self.number("i"), self.at
        if kind == 9:
            element, count = self.number("i"), self.number("Q")
            self.skip(element, count)
        else:
            self.skip(kind, 1)
        return name, kind, self.bytes[begin:self.at]

    def tensor_info(self):
        name = self.string().decode()
        extents = [self.number("Q") for _ in range(self.number("I"))]
        return name, extents, self.number("i"), self.number("Q")


def write_gguf(path, alignment, keys, tensors):
    def text(s):
        return struct.pack("<Q", len(s)) + s.encode()
    head = b"GGUF" + struct.pack("<Iqq", 3, len(tensors), len(keys))
    head += b"".join(text(name) + struct.pack("<i", kind) + raw for name, kind, raw in keys)
    data = bytearray()
    for name, extents, kind, content in tensors:
        head += text(name) + struct.pack("<I", len(extents)) + b"".join(struct.pack("<Q", e) for e in extents)
        head += struct.pack("<iQ", kind, len(data))
        data += content + bytes(-len(content) % alignment)
    with open(path, "wb") as file:
        file.write(head + bytes(-len(head) % alignment) + data)


# ---------------------------------------------------------------- lanes: one byte per weight, many at once

def lanes(data):
    return int.from_bytes(data, "little")


def mask(n):
    return int.from_bytes(b"\x03" * n, "little")


def split_bits(data, shifts):
    """Codes of two bits: for every shift the codes of all bytes."""
    value, low = lanes(data), mask(len(data))
    return [((value >> s) & low).to_bytes(len(data), "little") for s in shifts]


def join_bits(parts, shifts):
    return sum(lanes(part) << s for part, s in zip(parts, shifts)).to_bytes(len(parts[0]), "little")


def join_numbers(parts, factors):
    return sum(lanes(part) * f for part, f in zip(parts, factors)).to_bytes(len(parts[0]), "little")


BASE_3_BYTE = bytes(min(255, -(-n * 256 // 243)) for n in range(256))
TQ1_DIGITS = [bytes((((b * 3**n) & 255) * 3) >> 8 for b in range(256)) for n in range(5)]
IQ1_DIGITS = [bytes(((b * p & 255) + ((b * p & 255) >> 1)) >> 7 for b in range(256)) for p in (81, 27, 9, 3, 1)]


# ---------------------------------------------------------------- formats of rows and blocks; codes are trit + 1

def decode_group(data, group, shifts):
    """Groups of `group` bytes; the codes at each shift follow each other."""
    out = bytearray()
    for at in range(0, len(data), group):
        out += b"".join(split_bits(data[at:at + group], shifts))
    return out


def encode_group(codes, group, shifts):
    out = bytearray()
    for at in range(0, len(codes), 4 * group):
        out += join_bits([codes[at + i * group:at + (i + 1) * group] for i in range(4)], shifts)
    return bytes(out)


def decode_sequential(data):
    out = bytearray(4 * len(data))
    for i, plane in enumerate(split_bits(data, (0, 2, 4, 6))):
        out[i::4] = plane
    return out


def encode_sequential(codes):
    return join_bits([codes[i::4] for i in range(4)], (0, 2, 4, 6))


def decode_tq1(block):
    out = b"".join(block[:32].translate(TQ1_DIGITS[n]) for n in range(5))
    out += b"".join(block[32:48].translate(TQ1_DIGITS[n]) for n in range(5))
    return out + b"".join(block[48:52].translate(TQ1_DIGITS[n]) for n in range(4))


def encode_tq1(codes):
    out = join_numbers([codes[32 * n:32 * n + 32] for n in range(5)], (81, 27, 9, 3, 1))
    out += join_numbers([codes[160 + 16 * n:176 + 16 * n] for n in range(5)], (81, 27, 9, 3, 1))
    out += join_numbers([codes[240 + 4 * n:244 + 4 * n] for n in range(4)], (81, 27, 9, 3))
    return out.translate(BASE_3_BYTE)


def decode_iq1(block):
    out = bytearray(64)
    for g in range(4):
        for j in range(5):
            out[16 * g + j:16 * g + 15:5] = block[3 * g:3 * g + 3].translate(IQ1_DIGITS[j])
        out[16 * g + 15] = IQ1_DIGITS[g][block[12]]
    return out


def encode_iq1(codes):
    out = bytearray()
    for g in range(4):
        out += join_numbers([codes[16 * g + j:16 * g + 15:5] for j in range(5)], (1, 3, 9, 27, 81))
    out.append(sum(codes[16 * g + 15] * 3**g for g in range(4)))
    return bytes(out).translate(BASE_3_BYTE)


class Matrix:
    """codes [rows][columns], one byte each; scales [rows], as f32."""

    def __init__(self, rows, columns, codes, scales):
        self.rows, self.columns, self.codes, self.scales = rows, columns, bytes(codes), scales

    def row(self, r):
        return self.codes[r * self.columns:(r + 1) * self.columns]

    def one_scale(self):
        zero = bytes([1]) * self.columns
        found = {s for r, s in enumerate(self.scales) if self.row(r) != zero}
        if len(found) > 1:
            raise Unsuited("one scale per row")
        return found.pop() if found else self.scales[0]


def read_matrix(kind, extents, data, tiles):
    columns, rows = extents
    size = rows * columns
    f32 = lambda at: struct.unpack_from("<f", data, at)[0]
    f16 = lambda at: struct.unpack_from("<e", data, at)[0]
    codes, scales = bytearray(), []
    if kind == I2S:
        return Matrix(rows, columns, decode_group(data[:size // 4], 32, (6, 4, 2, 0)), [f32(size // 4)] * rows)
    if kind == TL2:
        return Matrix(rows, columns, decode_tl2(data, rows, columns, *tiles[rows, columns][:2]), [f32(tl2_size(rows, columns))] * rows)
    if kind in (TQ1, TQ2):
        block = 54 if kind == TQ1 else 66
        for r in range(rows):
            blocks = [r * columns // 256 * block + b * block for b in range(columns // 256)]
            for at in blocks:
                codes += decode_tq1(data[at:at + 52]) if kind == TQ1 else decode_group(data[at:at + 64], 32, (0, 2, 4, 6))
            zero = codes[-columns:] == bytes([1]) * columns
            scales.append(0.0 if zero else max(f16(at + block - 2) for at in blocks))  # a row of zeros needs none
        return Matrix(rows, columns, codes, scales)
    if kind == IQ1:
        row_bytes = 2 + 13 * columns // 64
        for r in range(rows):
            at = r * row_bytes
            scales.append(f16(at))
            for b in range(columns // 64):
                codes += decode_iq1(data[at + 2 + 13 * b:at + 15 + 13 * b])
        return Matrix(rows, columns, codes, scales)
    if kind == IQ2:
        row_bytes = 4 + columns // 4
        for r in range(rows):
            at = r * row_bytes
            scales.append(f32(at))
            codes += decode_group(data[at + 4:at + row_bytes], 16, (0, 2, 4, 6))
        return Matrix(rows, columns, codes, scales)
    raise SystemExit(f"type {kind} is not read here")


def need(condition, why):
    if not condition:
        raise Unsuited(why)


def with_blocks(m, block, encode, scale_first, scale):
    need(m.columns % block == 0, f"columns a multiple of {block}")
    zero, out = bytes([1]) * block, bytearray()
    for r in range(m.rows):
        row = m.row(r)
        for at in range(0, m.columns, block):
            codes = row[at:at + block]
            d = struct.pack("<e", 0.0 if codes == zero else scale[r])
            out += d + encode(codes) if scale_first else encode(codes) + d
    return bytes(out)


def f32_tail(scale):
    return struct.pack("<f", scale) + bytes(28)


def encode_i2s(m, codes_of):
    need(m.rows * m.columns % 128 == 0, "elements a multiple of 128")
    return codes_of(m.codes) + f32_tail(m.one_scale())


def encode_four_rows(m):
    need(m.rows % 4 == 0 and m.rows * m.columns % 128 == 0, "rows a multiple of 4")
    out = b"".join(join_bits([m.row(r + i) for i in range(4)], (6, 4, 2, 0)) for r in range(0, m.rows, 4))
    return out + f32_tail(m.one_scale())


def encode_iq1_bn(m, scale):
    need(m.columns % 64 == 0, "columns a multiple of 64")
    out = bytearray()
    for r in range(m.rows):
        out += struct.pack("<e", scale[r])
        for at in range(0, m.columns, 64):
            out += encode_iq1(m.row(r)[at:at + 64])
    return bytes(out)


def encode_iq2_bn(m):
    need(m.columns % 64 == 0, "columns a multiple of 64")
    return b"".join(struct.pack("<f", m.scales[r]) + encode_group(m.row(r), 16, (0, 2, 4, 6)) for r in range(m.rows))


def encode_r4(m):
    need(m.columns % 64 == 0 and m.rows % 4 == 0, "columns a multiple of 64, rows of 4")
    out = bytearray()
    for r in range(0, m.rows, 4):
        out += struct.pack("<4f", *m.scales[r:r + 4])
        group = bytearray(m.columns)
        for k in range(4):
            row = m.row(r + k)
            for i in range(4):  # columns 16 l + i, + 4, + 8, + 12 of every 16
                group[4 * k + i::16] = join_bits([row[i + 4 * j::16] for j in range(4)], (0, 2, 4, 6))
        out += group
    return bytes(out)


# ---------------------------------------------------------------- TL1, TL2

def pair_bytes(codes):
    return join_numbers([codes[i::4] for i in range(4)], (48, 16, 3, 1))


def encode_tl1(m, bm_rows, bk, inner):
    by, out = 256 // inner, bytearray(m.rows * m.columns // 4)
    for r in range(m.rows):
        pairs = pair_bytes(m.row(r))
        mb, rb, rg, rl = r // bm_rows, r % bm_rows // inner, r % inner // 16, r % 16
        for kb in range(m.columns // bk):
            for yb in range(bk // by):
                unit = ((mb * (m.columns // bk) + kb) * (bm_rows // inner) + rb) * (bk // by) + yb
                at = (unit * (inner // 16) + rg) * (by // 4) * 16 + rl
                c = (kb * bk + yb * by) // 4
                out[at:at + by // 4 * 16:16] = pairs[c:c + by // 4]
    return bytes(out) + f32_tail(m.one_scale())


def tl2_size(rows, columns):
    need(columns > 256, "more than 256 columns")
    packed = (((columns - 256) * rows) // 3 * 5) // 8 + ((256 * rows) // 2 * 4) // 8
    return -(-packed // 32) * 32


PERM = (0, 2, 1, 3)
MAGNITUDE = bytes(abs(n - 13) if n < 27 else 0 for n in range(256))
NEGATIVE = bytes(1 if n < 13 else 0 for n in range(256))


def tl2_places(r, bm_rows):
    position = PERM[r % 32 // 8] * 8 + r % 8
    return r // bm_rows, r % bm_rows // 32, position


def encode_tl2(m, bm_rows, bk, inner):
    k2 = m.columns % bk
    k3 = m.columns - k2
    size, n_rb = tl2_size(m.rows, m.columns), bm_rows // 32
    magnitudes, pairs = bytearray(m.rows * k3 // 6), bytearray(m.rows * k2 // 4)
    words = [0] * (m.rows * k3 // 48)
    for r in range(m.rows):
        mb, rb, position = tl2_places(r, bm_rows)
        row = m.row(r)
        triples = join_numbers([row[i:k3:3] for i in range(3)], (9, 3, 1))
        magnitude, negative = triples.translate(MAGNITUDE), triples.translate(NEGATIVE)
        both = join_numbers([magnitude[0::2], magnitude[1::2]], (16, 1))
        for kb in range(k3 // bk):
            unit = ((mb * (k3 // bk) + kb) * n_rb + rb) * (bk // 6)
            at, c = unit * 32 + position, kb * bk // 6
            magnitudes[at:at + bk // 6 * 32:32] = both[c:c + bk // 6]
            for j in range(bk // 3):
                if negative[kb * bk // 3 + j]:
                    word = (((mb * (k3 // bk) + kb) * n_rb + rb) * (bk // 24) + j // 8) * 16 + r % 16
                    words[word] |= 1 << (15 - (2 * (j % 8) + r % 32 // 16))
        rest = pair_bytes(row[k3:]) if k2 else b""
        for kb2 in range(k2 // 32):
            at = ((mb * (k2 // 32) + kb2) * n_rb + rb) * 8 * 32 + position
            pairs[at:at + 8 * 32:32] = rest[8 * kb2:8 * kb2 + 8]
    data = bytes(magnitudes) + struct.pack(f"<{len(words)}H", *words) + bytes(pairs)
    need(len(data) <= size, "fewer columns left over")
    return data + bytes(size - len(data)) + f32_tail(m.one_scale())


def decode_tl2(data, rows, columns, bm_rows, bk):
    k2 = columns % bk
    k3 = columns - k2
    n_rb = bm_rows // 32
    signs_at = rows * k3 // 6
    pairs_at = signs_at + rows * k3 // 24
    codes = bytearray()
    for r in range(rows):
        mb, rb, position = tl2_places(r, bm_rows)
        for kb in range(k3 // bk):
            unit = ((mb * (k3 // bk) + kb) * n_rb + rb) * (bk // 6)
            both = data[unit * 32 + position:(unit + bk // 6) * 32:32]
            for j in range(bk // 3):
                word = (((mb * (k3 // bk) + kb) * n_rb + rb) * (bk // 24) + j // 8) * 16 + r % 16
                value = struct.unpack_from("<H", data, signs_at + 2 * word)[0]
                t = both[j // 2] >> 4 if j % 2 == 0 else both[j // 2] & 15
                u = 13 - t if value >> (15 - (2 * (j % 8) + r % 32 // 16)) & 1 else 13 + t
                codes += bytes((u // 9, u // 3 % 3, u % 3))
        for kb2 in range(k2 // 32):
            at = pairs_at + ((mb * (k2 // 32) + kb2) * n_rb + rb) * 8 * 32 + position
            for byte in data[at:at + 8 * 32:32]:
                codes += bytes(((byte >> 4) // 3, (byte >> 4) % 3, (byte & 15) // 3, (byte & 15) % 3))
    return codes


def choose_tile(kind, rows, columns):
    """Some tile that fits; TL files do not hold it, so a test may take any."""
    if kind == TL1:
        for inner in (32, 64, 16):
            for bm in (160, 256, 128, 64, inner):
                for bk in (128, 64, 32):
                    if bm % inner == 0 and rows % bm == 0 and columns % bk == 0 and bk % (256 // inner) == 0:
                        return bm, bk, inner
    for bm in (160, 256, 128, 64, 32):
        for bk in (96, 192, 120, 24):
            k2 = columns % bk
            if kind == TL2 and columns > 256 and rows % bm == 0 and k2 % 32 == 0 and k2 <= 256:
                return bm, bk, 32
    raise Unsuited("no tile fits")


# ---------------------------------------------------------------- models

def is_f16(value):
    try:
        return struct.unpack("<e", struct.pack("<e", value))[0] == value
    except OverflowError:
        return False


class Converter:
    def __init__(self, model, tiles):
        self.model = Gguf(model)
        self.tiles = tiles
        self.matrices = {name: read_matrix(kind, extents, data, tiles) for name, extents, kind, data in self.model.tensors
                         if kind in (I2S, TL2, TQ1, TQ2, IQ1, IQ2)}

    def scales(self, name, m):
        """Scales for a format of f16 scales and the content of a tensor .scale, None when it needs none."""
        if all(is_f16(s) for s in m.scales):
            return m.scales, None
        need(name.replace(".weight", ".scale") not in {t[0] for t in self.model.tensors}, "no tensor .scale yet")
        return [1.0] * m.rows, struct.pack("<f", m.one_scale())

    def encode(self, form, name, m, used_tiles):
        """Type id, bytes, content of a new tensor .scale or None."""
        if form in ("tl1", "tl2"):
            kind = TL1 if form == "tl1" else TL2
            tile = used_tiles.setdefault((m.rows, m.columns), choose_tile(kind, m.rows, m.columns))
            scale = m.one_scale()
            need(scale > 0 and (scale != 1 or name.replace(".weight", ".scale") in {t[0] for t in self.model.tensors}), "a scale")
            return kind, encode_tl1(m, *tile) if kind == TL1 else encode_tl2(m, *tile), None
        if form.startswith("i2s"):
            layouts = {"i2s-x86": lambda c: encode_group(c, 32, (6, 4, 2, 0)),
                       "i2s-arm64": lambda c: encode_group(c, 16, (6, 4, 2, 0)), "i2s-seq": encode_sequential}
            return I2S, encode_four_rows(m) if form == "i2s-x86-4row" else encode_i2s(m, layouts[form]), None
        if form == "iq2_bn":
            return IQ2, encode_iq2_bn(m), None
        if form == "iq2_bn_r4":
            return R4, encode_r4(m), None
        scales, extra = self.scales(name, m)
        if form == "iq1_bn":
            return IQ1, encode_iq1_bn(m, scales), extra
        if form == "tq1_0":
            return TQ1, with_blocks(m, 256, encode_tq1, False, scales), extra
        if form == "tq2_0":
            two = lambda c: encode_group(c[:128], 32, (0, 2, 4, 6)) + encode_group(c[128:], 32, (0, 2, 4, 6))
            return TQ2, with_blocks(m, 256, two, False, scales), extra
        return Q2_0, with_blocks(m, 64, encode_sequential, True, scales), extra

    def write(self, form, folder):
        tensors, used_tiles = [], {}
        for name, extents, kind, data in self.model.tensors:
            if name not in self.matrices:
                tensors.append((name, extents, kind, data))
                continue
            kind, content, extra = self.encode(form, name, self.matrices[name], used_tiles)
            tensors.append((name, extents, kind, content))
            if extra is not None:
                tensors.append((name.replace(".weight", ".scale"), [1], 0, extra))
        keys = []
        for name, kind, raw in self.model.keys:
            if name == "general.file_type":
                raw = struct.pack("<I", FILE_TYPES[form])
            keys.append((name, kind, raw))
        write_gguf(os.path.join(folder, form + ".gguf"), self.model.alignment, keys, tensors)
        if used_tiles:
            with open(os.path.join(folder, form + ".ini"), "w") as file:
                for i, ((rows, columns), (bm, bk, inner)) in enumerate(used_tiles.items()):
                    file.write(f"[Kernels_{i}]\nm = {rows}\nk = {columns}\nbm = {bm}\nbk = {bk}\nbmm = {inner}\n\n")


def read_tiles(path):
    config = configparser.ConfigParser()
    if path:
        config.read(path)
    sections = [config[name] for name in config.sections()]
    return {(int(s["m"]), int(s["k"])): (int(s["bm"]), int(s["bk"]), int(s["bmm"])) for s in sections}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("folder")
    parser.add_argument("--kernel-config")
    args = parser.parse_args()
    os.makedirs(args.folder, exist_ok=True)
    converter = Converter(args.model, read_tiles(args.kernel_config))
    for form in FILE_TYPES:
        try:
            converter.write(form, args.folder)
        except Unsuited as why:
            print(f"{args.model}: no {form}: needs {why}")


if __name__ == "__main__":
    main()
