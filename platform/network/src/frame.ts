/**
 * A frame of the data plane: header, then meta, then body. Little-endian.
 *
 *     offset  bytes  field
 *     0       1      version, 1
 *     1       1      op (`FrameOp`)
 *     2       1      flags: bit 0 = reply, bit 1 = error (meta is the JSON of a `RemoteError`)
 *     3       1      seat
 *     4       4      body length, ≤ 8 MiB
 *     8       4      meta length, ≤ 64 KiB
 *     12      4      request id, chosen by the asking side; a reply repeats it
 *     16      4      group
 *     20      4      stripe
 *     24      8      offset: what it counts depends on the op
 *     32      32     hash: fragment id, segment root or log id, where the op has one; else zeros
 *
 * 64 bytes, one cache line. Meta is apart from the body so that a fragment lands page-aligned in a buffer of its own,
 * from which it is hashed, sent and written without a copy.
 */
export interface FrameMessage {
  readonly seat: number
  readonly group: number
  readonly stripe: number
  readonly offset: number
  /** 32 bytes. */
  readonly hash: Uint8Array
  /** Small structured part: descriptor, receipt, hash list. ≤ 64 KiB. */
  readonly meta: Uint8Array
  /** Bulk part: a fragment or a range of it. ≤ 8 MiB. */
  readonly body: Uint8Array
}

export const FRAME_HEADER_BYTES = 64
export const FRAME_META_BYTES_MAX = 64 * 2 ** 10
export const FRAME_BODY_BYTES_MAX = 8 * 2 ** 20

/**
 * What a frame asks for. "gateway" is the asking side, "miner" the answering one; hello goes both ways.
 *
 * | op | request | reply |
 * |---|---|---|
 * | `hello` | meta: JSON {role, chainId, version, ports?} | meta: the same of the other side |
 * | `ping` | | |
 * | `put` | group, stripe, seat, hash = fragment id, meta = segment descriptor, body = fragment | hash = segment root, meta = receipt signature (64) |
 * | `get` | group, stripe, seat, offset, meta = u32 length (0 = to the end) | body = bytes; hash = fragment id |
 * | `describe` | group, stripe, seat | hash = fragment id, meta = segment descriptor, body = piece hashes (32 each) |
 * | `delete` | group, stripe, seat | meta = deletion signature (64); refused until the chain shows the stripe released |
 * | `put-tags` | from the tagger: group, stripe, seat, hash = segment root, meta = signature (64), body = tags of all seats | |
 * | `get-tags` | group, stripe, seat | hash = segment root, meta = signature (64), body = tags of all seats |
 * | `powers` | to whoever has them; hash = BLAKE3 of the powers wanted | body = powers of a tagger's key |
 * | `log-append` | hash = log id, offset = position it must start at, meta = log context, body = bytes | offset = new length, durable |
 * | `log-read` | hash = log id, offset, meta = u32 length | body |
 * | `log-list` | meta = u64 territory | meta = JSON [{logId, territory, bytes}] |
 * | `log-drop` | hash = log id | |
 *
 * Between nodes of the chain; layouts in `nodes/full-node/src/wire.ts`. "height" is the number of a chain block.
 *
 * | op | request | reply |
 * |---|---|---|
 * | `dag` | body = one message of R²S between members of the committee | |
 * | `share-transactions` | body = raw transactions, each u32 length, bytes: to be put into own blocks | meta = u16 how many were taken |
 * | `get-order-point` | offset = a certified height | offset = height of the last block of a round at or below, meta = u32 round, u32 index, body = checkpoint of the order there |
 * | `chain-status` | hash = genesis hash, meta = heights known, time to wait for other ones | meta: own status |
 * | `get-blocks` | offset = first height, meta = limits | offset = first height, meta = count, body = headers, bodies, certificates |
 * | `get-headers` | offset = first height, meta = limits | the same without bodies, up to the first certificate |
 * | `send-transactions` | body = raw transactions | meta = one verdict each |
 * | `get-snapshot` | | meta, body: manifests of the snapshots kept |
 * | `get-snapshot-chunk` | offset = height, meta = where to begin | body = key range with its proof |
 */
export const FrameOp = {
  hello: 1,
  ping: 2,
  put: 16,
  get: 17,
  describe: 18,
  delete: 19,
  putTags: 20,
  getTags: 21,
  powers: 22,
  logAppend: 32,
  logRead: 33,
  logList: 34,
  logDrop: 35,
  dag: 64,
  shareTransactions: 65,
  getOrderPoint: 66,
  chainStatus: 80,
  getBlocks: 81,
  getHeaders: 82,
  sendTransactions: 83,
  getSnapshot: 84,
  getSnapshotChunk: 85,
} as const

export type FrameOp = (typeof FrameOp)[keyof typeof FrameOp]
