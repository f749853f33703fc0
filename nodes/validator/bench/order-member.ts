import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { bytesToHex, bytesToPlainHex } from '@cumulus/bytes'
import { type Listener, listen, PeerIdentity } from '@cumulus/network'
import { presets } from '@cumulus/params'
import { type Block, type Commit, encodePayload, transactionsOf } from '@cumulus/r2s'
import { createLogger, createMetrics } from '@cumulus/service'
import { verifyEd25519 } from '@cumulus/signature'
import { createConsensusMetrics } from '../src/consensus/consensus-metrics.ts'
import { Members } from '../src/consensus/members.ts'
import { OrderLoop, type OwnContents } from '../src/consensus/order-loop.ts'
import { r2sParamsOf } from '../src/consensus/r2s-orderer-init.ts'
import { StageTimes } from '../src/consensus/stage-times.ts'
import { SteadyClock } from '../src/consensus/steady-clock.ts'
import { ThresholdCoin } from '../src/consensus/threshold-coin.ts'
import { type FoundLog, WriteAheadLog } from '../src/consensus/write-ahead-log.ts'
import { noGauges } from './no-gauges.ts'
import type { OrderAnswers, OrderCount, OrderEnd, OrderJob, OrderQuestion } from './order-messages.ts'

export type { OrderAnswers, OrderCount, OrderEnd, OrderJob, OrderQuestion } from './order-messages.ts'

/** Each transaction has its length before it. */
const LENGTH_BYTES = 4
const ERA = 0

/**
 * A member that orders and does nothing else: all of a validator from the contents of own blocks to their place in the order,
 * with its log, sockets, signatures and coin. Contents are made here: no mempool, no signatures of transactions, no execution.
 */
class OrderMember {
  readonly #job: OrderJob
  readonly #wal: WriteAheadLog
  readonly #found: FoundLog
  readonly #members: Members
  readonly #coin: ThresholdCoin
  readonly #loop: OrderLoop
  readonly #times: StageTimes
  readonly #ending = new AbortController()
  #listener: Listener | undefined
  #links: Promise<void> | undefined
  /** Used again for each own block, since its payload is a copy. */
  readonly #bodies: Uint8Array[] = []
  #madeCount = 0
  #takenAtMs = 0
  /** By round, of own blocks that have no place yet. */
  readonly #ownTakenAtMs = new Map<number, number>()
  #commitMs: number[] = []
  #transactions = 0
  readonly #digests: string[] = []
  readonly #rotationsMs: number[] = []
  readonly #syncMs = { usual: [] as number[], rotating: [] as number[] }

  private constructor(job: OrderJob, identity: PeerIdentity, wal: WriteAheadLog, found: FoundLog) {
    this.#job = job
    this.#wal = wal
    this.#found = found
    const { self, members, coinKey: key, coinShare: share, minRoundMs } = job
    const params = presets.minimal
    const metrics = createConsensusMetrics(createMetrics({ process: false }), () => noGauges)
    const log = createLogger({ name: `member ${self}`, level: 'error' })
    this.#times = new StageTimes(metrics)
    this.#coin = new ThresholdCoin({ chainId: params.chainId, era: ERA, key, share, origin: 'dealt' })
    this.#members = new Members({
      identity,
      members: members.map(({ peerKey, port }) => ({ peerKey, address: { host: '127.0.0.1', port } })),
      self,
      onMessage: (from, bytes) => this.#loop.step({ kind: 'frame', from, bytes }),
      onConnected: (peer) => this.#loop.step({ kind: 'connected', peer }),
      shunned: (peer) => fail(new Error(`member ${self} does not listen to ${peer} any more`)),
      log,
    })
    this.#loop = new OrderLoop({
      config: {
        chainId: BigInt(params.chainId),
        era: ERA,
        eraAnchor: new Uint8Array(32),
        committeeSize: members.length,
        member: self,
        params: r2sParamsOf(params, members.length, { minRoundMs }),
        sign: (message) => identity.sign(message),
        verify: (author, message, signature) => verifyEd25519(signature, message, members[author]!.peerKey),
      },
      coin: this.#coin,
      wal,
      members: this.#members,
      clock: new SteadyClock(),
      hooks: {
        room: () => undefined,
        contents: (payloadBytesMax) => this.#contents(payloadBytesMax),
        committed: (commit) => this.#committed(commit),
        accepted: ({ header }) => {
          if (header.author === self) this.#ownTakenAtMs.set(header.round, this.#takenAtMs)
        },
        returned: () => {},
        behind: () => fail(new Error(`member ${self} was left behind`)),
        silenced: () => fail(new Error(`member ${self} fell silent`)),
        equivocation: () => fail(new Error(`member ${self} saw two blocks of one round`)),
        failed: fail,
      },
      metrics,
      times: this.#times,
      log,
    })
  }

  /** Opens a new log and listens. */
  static async open(job: OrderJob): Promise<OrderMember> {
    const { folder, self, peerSeed, port } = job
    const identity = new PeerIdentity(peerSeed)
    // Without it the member would ask the others what it signed.
    await writeFile(join(folder, 'order.new'), `${bytesToHex(identity.publicKey)}\n`)
    const owner = {
      chainId: BigInt(presets.minimal.chainId),
      era: ERA,
      member: self,
      peerKey: identity.publicKey,
    }
    let member: OrderMember | undefined
    const { wal, found } = await WriteAheadLog.open(folder, owner, 0n, {
      onSync: (seconds) => member!.#noteSync(1000 * seconds),
    })
    member = new OrderMember(job, identity, wal, found)
    member.#listener = await listen({
      host: '127.0.0.1',
      port,
      identity,
      handlers: member.#members.handlers,
      onSession: (session) => member.#members.attach(session),
    })
    return member
  }

  start(): void {
    this.#loop.start(this.#found)
    this.#loop.step({ kind: 'work', pending: true })
    this.#links = this.#members.run({ signal: this.#ending.signal })
  }

  count(): OrderCount {
    const { user, system } = process.cpuUsage()
    const commitMs = this.#commitMs
    this.#commitMs = []
    return {
      atMs: performance.now(),
      rounds: this.#digests.length,
      transactions: this.#transactions,
      cpuSeconds: (user + system) / 1e6,
      commitMs,
    }
  }

  async end(): Promise<OrderEnd> {
    this.#loop.stop()
    this.#ending.abort()
    await this.#links
    await this.#listener?.close()
    await this.#wal.close()
    await this.#coin.close()
    return { digests: this.#digests, stagesMs: this.#times.table, rotationsMs: this.#rotationsMs, syncMs: this.#syncMs }
  }

  #noteSync(ms: number): void {
    this.#syncMs[this.#wal.isRotating ? 'rotating' : 'usual'].push(ms)
  }

  /** No two transactions are the same. */
  #contents(payloadBytesMax: number): OwnContents {
    const { self, transactionBytes, transactionsMax } = this.#job
    const txCount = Math.min(transactionsMax, Math.floor(payloadBytesMax / (LENGTH_BYTES + transactionBytes)))
    while (this.#bodies.length < txCount) this.#bodies.push(new Uint8Array(transactionBytes))
    const transactions = this.#bodies.slice(0, txCount)
    for (const { buffer } of transactions) {
      const view = new DataView(buffer)
      view.setUint32(0, self)
      view.setUint32(4, this.#madeCount++)
    }
    this.#takenAtMs = performance.now()
    this.#times.taken(transactions)
    return { payload: encodePayload(transactions), txCount, votes: [] }
  }

  #committed(commit: Commit): void {
    const nowMs = performance.now()
    this.#times.committed(commit, this.#job.self, this.#loop.core.lastOwnRound)
    const digest = createHash('sha256').update(this.#digests.at(-1) ?? '')
    for (const block of commit.blocks) {
      digest.update(block.digest)
      this.#transactions += transactionsOf(block).length
      this.#noteOwn(block, nowMs)
    }
    this.#digests.push(bytesToPlainHex(digest.digest().subarray(0, 8)))
    // As in a validator, not amid the effects of a step; execution is done at once.
    setImmediate(() => this.#rotate().catch(fail))
  }

  async #rotate(): Promise<void> {
    if (!this.#wal.isLong || !this.#loop.mayRotate || this.#ending.signal.aborted) return
    const startMs = performance.now()
    await this.#loop.rotate(0n)
    this.#rotationsMs.push(performance.now() - startMs)
  }

  #noteOwn({ header: { author, round } }: Block, nowMs: number): void {
    if (author !== this.#job.self) return
    this.#commitMs.push(nowMs - this.#ownTakenAtMs.get(round)!)
    this.#ownTakenAtMs.delete(round)
  }
}

function fail(error: Error): void {
  process.stderr.write(`${error.stack}\n`)
  process.exit(1)
}

let member: OrderMember | undefined

async function answer(question: OrderJob | OrderQuestion): Promise<OrderAnswers[keyof OrderAnswers]> {
  if (typeof question !== 'string') {
    member = await OrderMember.open(question)
    return 'ready'
  }
  if (question === 'count') return member!.count()
  if (question === 'end') return member!.end()
  member!.start()
  return 'started'
}

process.on('message', async (question: OrderJob | OrderQuestion) => {
  const reply = await answer(question)
  process.send?.(reply, () => {
    if (question === 'end') process.disconnect?.()
  })
})
// Whoever measured is gone, or has all answers.
process.once('disconnect', () => process.exit())
