import { CODEC_FFT_4_8, ErasureArena, ErasureCode } from '@cumulus/erasure'

const code = ErasureCode.create({ dataCount: 4, parityCount: 8, codec: CODEC_FFT_4_8 })

// Room for one segment, made once for each worker; fragments of up to 8 MiB.
const arena = new ErasureArena(code, 8 * 2 ** 20)
arena.layOut(4096) // this segment is small
arena.data.fill(7) // 4 × 4096 bytes in one run: encrypt straight into it
arena.encode()
const sent = Array.from({ length: 12 }, (_, i) => arena.fragment(i).slice()) // hash and send

// Later, elsewhere, four of the twelve come back; over plain arrays this time.
const received = sent.map((fragment, i) => ([2, 5, 8, 11].includes(i) ? fragment : undefined))
const data = code.rebuild(received, [0, 1, 2, 3])

export const segment = Buffer.concat(data) // 16384 bytes of 7
