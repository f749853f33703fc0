import { randomBytes } from 'node:crypto'
import { bytesToHex, utf8Encode } from '@cumulus/bytes'
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
  SECRET_SEED_BYTES,
  stripeTagsMessage,
  TAG_BYTES,
  Tagger,
  type TaggerSecret,
} from '@cumulus/podr2'
import { groupId, seat as seatNumber, stripeNumber } from '@cumulus/types'
import { type ProofNetwork, patiently, type WrittenStripe } from './proof-network.ts'

const ZERO_ADDRESS = `0x${'0'.repeat(40)}` as const
const MARKER = 1
const SIMULATED = 3

/**
 * A TEE worker that does what it likes, under an entry of its own in the register. It holds its miners' sessions in the
 * process of the test, and knows all fragments, so that nothing but its will makes it slow or wrong.
 */
export class RogueWorker {
  /** `other`: not those that it registered · `never`: no answer, to this and to any other question. */
  serves: 'registered' | 'other' | 'never' = 'registered'
  /** How often powers and tags were asked for. */
  readonly asked = { powers: 0, tags: 0 }
  readonly #network: ProofNetwork
  readonly #podr: PodrParams
  readonly #identity = PeerIdentity.create()
  readonly #secret: TaggerSecret
  readonly #powers: Uint8Array
  readonly #other: { readonly secret: TaggerSecret; readonly powers: Uint8Array }
  readonly #sessions = new Map<string, Session>()
  #listener: Listener | undefined

  private constructor(network: ProofNetwork) {
    this.#network = network
    const { sectorCount, challengedCount } = network.params.audit
    this.#podr = { chainId: network.params.chainId, sectorCount, challengedCount }
    const make = () => keyGen(new Uint8Array(randomBytes(SECRET_SEED_BYTES)))
    this.#secret = make()
    this.#powers = encodePowers(this.#secret, sectorCount)
    const other = make()
    this.#other = { secret: other, powers: encodePowers(other, sectorCount) }
  }

  /** @param n whose account it registers with */
  static async start(network: ProofNetwork, n: number): Promise<RogueWorker> {
    const worker = new RogueWorker(network)
    await worker.#listen()
    await worker.#register(n)
    return worker
  }

  get sessionCount(): number {
    return this.#sessions.size
  }

  /** Hands the tags of stripes to all their seats. @returns what each seat said to each: a code, or `ok` */
  async deliver(stripes: readonly WrittenStripe[], { wrong = false } = {}): Promise<string[]> {
    const tagger = new Tagger(wrong ? this.#other.secret : this.#secret, this.#podr)
    const said: string[] = []
    for (const { group, stripe, root, fragments } of stripes) {
      const { peerKeys } = await patiently(() => this.#network.observer.read('Storage', 'groupOf', [group]))
      const place = { group: groupId(group), stripe: stripeNumber(stripe) }
      const body = this.#tags(tagger, place, fragments)
      const meta = this.#identity.sign(stripeTagsMessage(this.#podr.chainId, place, root, body))
      for (const [seat, peerKey] of peerKeys.entries()) {
        try {
          await patiently(() =>
            this.#session(peerKey).request(FrameOp.putTags, { ...place, seat, hash: root, meta, body }),
          )
          said.push('ok')
        } catch (error) {
          if (!(error instanceof RemoteError)) throw error
          said.push(error.code)
        }
      }
    }
    return said
  }

  async close(): Promise<void> {
    await this.#listener?.close()
  }

  #tags(
    tagger: Tagger,
    place: { group: ReturnType<typeof groupId>; stripe: ReturnType<typeof stripeNumber> },
    fragments: readonly Uint8Array[],
  ): Uint8Array {
    const size = blockBytes(this.#podr)
    const count = blockCount(fragments[0]!.length, this.#podr)
    const tags = new Uint8Array(fragments.length * count * TAG_BYTES)
    for (const [seat, fragment] of fragments.entries()) {
      for (let block = 0; block < count; block++) {
        const data = fragment.subarray(block * size, (block + 1) * size)
        const tag = tagger.tagBlock(data, { ...place, seat: seatNumber(seat), block })
        tags.set(tag, (seat * count + block) * TAG_BYTES)
      }
    }
    return tags
  }

  #session(peerKey: string): Session {
    const session = this.#sessions.get(peerKey.slice(2))
    if (!session) throw new Error('this miner has not dialled the worker')
    return session
  }

  async #listen(): Promise<void> {
    const hello = { role: 'tee-worker', chainId: this.#podr.chainId, version: 1 }
    const never = () => new Promise<never>(() => {})
    this.#listener = await listen({
      host: '127.0.0.1',
      port: 0,
      identity: this.#identity,
      handlers: {
        [FrameOp.hello]: () => ({ meta: utf8Encode(JSON.stringify(hello)) }),
        [FrameOp.powers]: () => {
          this.asked.powers++
          if (this.serves === 'never') return never()
          return { hash: powersHash(this.#powers), body: this.serves === 'other' ? this.#other.powers : this.#powers }
        },
        [FrameOp.getTags]: () => {
          this.asked.tags++
          if (this.serves === 'never') return never()
          throw new RemoteError('PENDING', 'later')
        },
      },
      onSession: (session) => {
        const key = session.peerKey.toHex()
        this.#sessions.set(key, session)
        void session.closed.then(() => {
          if (this.#sessions.get(key) === session) this.#sessions.delete(key)
        })
      },
    })
  }

  async #register(n: number): Promise<void> {
    const { params } = this.#network
    const chain = await this.#network.connect(n)
    const { host, port } = this.#listener!
    const message = registrationMessage(params.chainId, chain.account)
    const nonceBlock = await chain.blockNumber()
    const registration = {
      peerKey: bytesToHex(this.#identity.publicKey),
      addresses: formatAddress({ host, port, peerKey: this.#identity.publicKey }),
      modes: MARKER,
      candidate: ZERO_ADDRESS,
      taggerKey: bytesToHex(encodeTaggerKey(this.#secret, message)),
      powersHash: bytesToHex(powersHash(this.#powers)),
      attestation: SIMULATED,
      quote: '0x',
      collateral: '0x',
      nonceBlock,
      peerSignature: bytesToHex(this.#identity.sign(message)),
    } as const
    await patiently(() => chain.send('TeeWorkers', 'register', [registration], { value: params.audit.workerDeposit }))
  }
}
