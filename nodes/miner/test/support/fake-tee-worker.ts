import { equalBytes, utf8Encode } from '@cumulus/bytes'
import { registrationMessage } from '@cumulus/ledger/modules'
import {
  FrameOp,
  formatAddress,
  type Listener,
  listen,
  PeerIdentity,
  RemoteError,
  type Session,
} from '@cumulus/network'
import {
  blockBytes,
  blockCount,
  encodePowers,
  encodeTaggerKey,
  keyGen,
  type PodrParams,
  powersHash,
  stripeTagsMessage,
  TAG_BYTES,
  Tagger,
  type TaggerKey,
  taggerKeyOf,
} from '@cumulus/podr2'
import { groupId, seat, stripeNumber } from '@cumulus/types'
import type { ChainWorker } from '../../src/index.ts'
import { GROUP, params, SEAT, TAGGER } from './test-network.ts'

export const podr: PodrParams = { chainId: params.chainId, ...params.audit }
const FRAGMENT_BYTES = params.classes.standard.fragmentBytes
const SEATS = params.classes.standard.seatCount

let keyCount = 0

/** A TEE worker that tags what it is told to, right or wrong. */
export class FakeTeeWorker {
  readonly identity = PeerIdentity.create()
  // Each has a key of its own: the proving thread of the process knows powers that it has seen.
  secret = keyGen(new Uint8Array(96).fill(++keyCount))
  key: TaggerKey = taggerKeyOf(this.secret)
  powers = encodePowers(this.secret, podr.sectorCount)
  #tagger = new Tagger(this.secret, podr)
  /** Powers are served no sooner than this: nothing can be checked before. */
  serving: Promise<void> | undefined
  #listener: Listener | undefined
  session: Session | undefined
  /** Requests so far. */
  readonly asked: string[] = []
  /** What `get-tags` answers, by stripe. */
  readonly stock = new Map<number, { hash: Uint8Array; meta: Uint8Array; body: Uint8Array }>()

  /** Takes another key. */
  rotate(): void {
    this.secret = keyGen(new Uint8Array(96).fill(++keyCount))
    this.key = taggerKeyOf(this.secret)
    this.powers = encodePowers(this.secret, podr.sectorCount)
    this.#tagger = new Tagger(this.secret, podr)
  }

  async listen(): Promise<void> {
    this.#listener = await listen({
      host: '127.0.0.1',
      port: 0,
      identity: this.identity,
      handlers: {
        [FrameOp.hello]: () => {
          const hello = { role: 'tee-worker', chainId: params.chainId, version: 1 }
          return { meta: utf8Encode(JSON.stringify(hello)) }
        },
        [FrameOp.powers]: async ({ hash }) => {
          this.asked.push('powers')
          await this.serving
          if (!equalBytes(hash, this.entry.powersHash)) throw new RemoteError('NOT_FOUND', 'other powers')
          return { hash, body: this.powers }
        },
        [FrameOp.getTags]: ({ stripe }) => {
          this.asked.push(`tags ${stripe}`)
          const found = this.stock.get(stripe)
          if (!found) throw new RemoteError('PENDING', 'later')
          return found
        },
      },
      onSession: (session) => {
        this.session = session
        void session.closed.then(() => {
          if (this.session === session) this.session = undefined
        })
      },
    })
  }

  get entry(): ChainWorker {
    const { host, port } = this.#listener!
    return {
      account: TAGGER,
      peerKey: this.identity.publicKey,
      addresses: formatAddress({ host, port, peerKey: this.identity.publicKey }),
      taggerKey: encodeTaggerKey(this.secret, registrationMessage(params.chainId, TAGGER)),
      powersHash: powersHash(this.powers),
      isSimulated: true,
      isServing: true,
    }
  }

  /** Tags of a stripe of which only the miner's seat matters; those of the others are of nothing. */
  tagsOf(stripe: number, body: Uint8Array, root: Uint8Array, change: (tags: Uint8Array) => void = () => {}) {
    const count = blockCount(FRAGMENT_BYTES, podr)
    const size = blockBytes(podr)
    const tags = new Uint8Array(SEATS * count * TAG_BYTES)
    const place = { group: groupId(GROUP), stripe: stripeNumber(stripe), seat: seat(SEAT) }
    for (let block = 0; block < count; block++) {
      const tag = this.#tagger.tagBlock(body.subarray(block * size, (block + 1) * size), { ...place, block })
      tags.set(tag, (SEAT * count + block) * TAG_BYTES)
    }
    change(tags)
    const meta = this.identity.sign(stripeTagsMessage(params.chainId, place, root, tags))
    return { hash: root, meta, body: tags }
  }

  async put(stripe: number, frame: { hash: Uint8Array; meta: Uint8Array; body: Uint8Array }, change = {}) {
    await this.session!.request(FrameOp.putTags, { group: GROUP, stripe, seat: SEAT, ...frame, ...change })
  }

  async close(): Promise<void> {
    await this.#listener?.close()
  }
}
