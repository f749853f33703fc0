import { ByteReader, equalBytes, utf8Encode } from '@cumulus/bytes'
import { dial, type FrameHandlers, FrameOp, PeerIdentity, RemoteError, type Session } from '@cumulus/network'
import { decodeDescriptor, fragmentIdOfPieces, pieceHashes, receiptMessage, segmentRoot } from '@cumulus/storage'
import { groupId, seat as seatIndex, stripeNumber } from '@cumulus/types'

interface Fragment {
  readonly body: Uint8Array
  readonly id: Uint8Array
  readonly root: Uint8Array
  readonly descriptor: Uint8Array
  readonly hashes: Uint8Array
}

/** A miner that keeps everything in memory and trusts its gateway, over real TLS sessions. */
export class MemoryMiner {
  readonly identity = PeerIdentity.create()
  readonly fragments = new Map<string, Fragment>()
  readonly logs = new Map<string, { territory: bigint; bytes: Uint8Array<ArrayBuffer> }>()
  /** Answers to `get` wait so long. */
  getDelayMs = 0
  putCount = 0
  getCount = 0
  refuseLogs = false
  refusePuts = false
  readonly #chainId: number
  #sessions: Session[] = []

  constructor(chainId: number) {
    this.#chainId = chainId
  }

  get isConnected(): boolean {
    return this.#sessions.length > 0
  }

  /** Dials the gateway's main port, and those of its workers. */
  async connect(port: number): Promise<void> {
    const main = await this.#dial(port)
    const { meta } = await main.request(FrameOp.hello, { meta: utf8Encode('{}') })
    const { ports } = JSON.parse(new TextDecoder().decode(meta)) as { ports?: { workers: number[] } }
    this.#sessions = [main, ...(await Promise.all((ports?.workers ?? []).map((worker) => this.#dial(worker))))]
  }

  disconnect(): void {
    for (const session of this.#sessions) session.close()
    this.#sessions = []
  }

  /** Flips one byte of every fragment. The miner does not notice. */
  corruptAll(): void {
    for (const { body } of this.fragments.values()) body[Math.floor(body.length / 3)]! ^= 1
  }

  #dial(port: number): Promise<Session> {
    return dial({ identity: this.identity, handlers: this.#handlers, address: { host: '127.0.0.1', port } as never })
  }

  get #handlers(): FrameHandlers {
    return {
      [FrameOp.put]: (frame) => {
        if (this.refusePuts) throw new RemoteError('NO_SPACE', 'no space')
        const hashes = pieceHashes(frame.body)
        if (!equalBytes(fragmentIdOfPieces(hashes), frame.hash)) throw new RemoteError('HASH_MISMATCH', 'wrong hash')
        const root = segmentRoot(decodeDescriptor(frame.meta))
        const name = `${frame.group}/${frame.stripe}/${frame.seat}`
        const known = this.fragments.get(name)
        if (known && !equalBytes(known.root, root)) throw new RemoteError('FRAGMENT_EXISTS', 'another segment')
        this.putCount++
        this.fragments.set(name, {
          body: frame.body.slice(),
          id: frame.hash.slice(),
          root,
          descriptor: frame.meta.slice(),
          hashes,
        })
        const place = {
          group: groupId(frame.group),
          stripe: stripeNumber(frame.stripe),
          seat: seatIndex(frame.seat),
          segmentRoot: root,
        }
        return { hash: root, meta: this.identity.sign(receiptMessage(this.#chainId, place)) }
      },
      [FrameOp.get]: async (frame) => {
        this.getCount++
        if (this.getDelayMs > 0) await new Promise((resolve) => setTimeout(resolve, this.getDelayMs))
        const fragment = this.#find(frame)
        const length = new ByteReader(frame.meta).u32() || fragment.body.length - frame.offset
        return { hash: fragment.id, body: fragment.body.subarray(frame.offset, frame.offset + length) }
      },
      [FrameOp.describe]: (frame) => {
        const fragment = this.#find(frame)
        return { hash: fragment.id, meta: fragment.descriptor, body: fragment.hashes }
      },
      [FrameOp.logAppend]: (frame) => {
        if (this.refuseLogs) throw new RemoteError('LOG_SPACE_FULL', 'no room for logs')
        const name = frame.hash.toHex()
        const log = this.logs.get(name) ?? { territory: new ByteReader(frame.meta).u64(), bytes: new Uint8Array(0) }
        if (frame.offset > log.bytes.length) throw new RemoteError('LOG_GAP', 'gap', { length: log.bytes.length })
        const overlap = log.bytes.subarray(frame.offset, frame.offset + frame.body.length)
        if (!equalBytes(overlap, frame.body.subarray(0, overlap.length))) throw new RemoteError('LOG_CONFLICT', 'other')
        const added = frame.body.subarray(overlap.length)
        const length = log.bytes.length + added.length
        // Grows by doubling: a copy of the whole for each append would be all that a benchmark sees.
        let { buffer } = log.bytes
        if (length > buffer.byteLength) {
          buffer = new ArrayBuffer(2 * length)
          new Uint8Array(buffer).set(log.bytes)
        }
        const bytes = new Uint8Array(buffer, 0, length)
        bytes.set(added, log.bytes.length)
        this.logs.set(name, { ...log, bytes })
        return { offset: length }
      },
      [FrameOp.logRead]: (frame) => {
        const log = this.logs.get(frame.hash.toHex())
        if (!log) throw new RemoteError('LOG_NOT_FOUND', 'no such log')
        const length = new ByteReader(frame.meta).u32()
        return { body: log.bytes.subarray(frame.offset, frame.offset + length) }
      },
      [FrameOp.logList]: (frame) => {
        const territory = new ByteReader(frame.meta).u64()
        const list = [...this.logs]
          .filter(([, log]) => log.territory === territory)
          .map(([logId, { bytes }]) => ({ logId, territory: String(territory), bytes: bytes.length }))
        return { meta: utf8Encode(JSON.stringify(list)) }
      },
      [FrameOp.logDrop]: (frame) => {
        if (!this.logs.delete(frame.hash.toHex())) throw new RemoteError('LOG_NOT_FOUND', 'no such log')
        return {}
      },
    }
  }

  #find(frame: { group: number; stripe: number; seat: number }): Fragment {
    const fragment = this.fragments.get(`${frame.group}/${frame.stripe}/${frame.seat}`)
    if (!fragment) throw new RemoteError('NOT_FOUND', 'no such fragment')
    return fragment
  }
}
