import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { bytesToPlainHex, equalBytes } from '@cumulus/bytes'
import { registrationMessage } from '@cumulus/ledger/modules'
import { FrameOp, type Session } from '@cumulus/network'
import { type PodrParams, powersHash } from '@cumulus/podr2'
import { type Logger, writeFileAtomic } from '@cumulus/service'
import type { Address } from '@cumulus/types'
import type { ChainWorker } from './audit-chain.ts'
import type { TaggerRef } from './proof-protocol.ts'
import type { Prover } from './prover.ts'

export interface TaggersComponents {
  /** Where powers are kept: they are public, and the same for all miners. */
  readonly folder: string
  readonly podr: PodrParams
  readonly prover: Pick<Prover, 'holdsPowers' | 'takePowers'>
  /** The session with a TEE worker, while there is one. */
  readonly sessionOf: (peerKey: Uint8Array) => Session | undefined
  readonly log: Logger
}

/** The powers of this worker cannot be had now. */
export class PowersUnavailable extends Error {
  readonly code = 'POWERS_UNAVAILABLE'
}

const POWERS_MS = 60_000

/** TEE workers of the register, with all that is needed to prove by their tags. */
export class Taggers {
  readonly #parts: TaggersComponents
  #workers: readonly ChainWorker[] = []
  readonly #loading = new Map<string, Promise<void>>()

  constructor(parts: TaggersComponents) {
    this.#parts = parts
  }

  update(workers: readonly ChainWorker[]): void {
    this.#workers = workers
  }

  get(account: Address): ChainWorker | undefined {
    return this.#workers.find((worker) => worker.account.toLowerCase() === account.toLowerCase())
  }

  get all(): readonly ChainWorker[] {
    return this.#workers
  }

  session(account: Address): Session | undefined {
    const worker = this.get(account)
    return worker && this.#parts.sessionOf(worker.peerKey)
  }

  /**
   * The tagger, its powers in the prover: from the disk if they passed the full check before, else from the worker, checked
   * in full (0.3 ms a power) and kept.
   *
   * @throws PowersUnavailable if the worker is not registered or not there, or what it serves is not what it registered
   */
  async ready(account: Address): Promise<TaggerRef> {
    const worker = this.get(account)
    if (!worker) throw new PowersUnavailable(`${account} is no registered TEE worker`)
    const { prover, podr } = this.#parts
    const ref: TaggerRef = {
      taggerKey: worker.taggerKey,
      keyContext: registrationMessage(podr.chainId, worker.account),
      powersHash: worker.powersHash,
    }
    if (prover.holdsPowers(worker.powersHash)) return ref
    const name = bytesToPlainHex(worker.powersHash)
    let loading = this.#loading.get(name)
    if (!loading) {
      loading = this.#load(worker, ref, name).finally(() => this.#loading.delete(name))
      this.#loading.set(name, loading)
    }
    await loading
    return ref
  }

  async #load(worker: ChainWorker, ref: TaggerRef, name: string): Promise<void> {
    const { folder, podr, prover, log } = this.#parts
    const path = join(folder, name)
    const { sectorCount } = podr
    const kept = await readIfThere(path)
    if (kept && equalBytes(powersHash(kept), worker.powersHash)) {
      await prover.takePowers(ref, kept, { isChecked: true, sectorCount })
      return
    }
    const session = this.#parts.sessionOf(worker.peerKey)
    if (!session) throw new PowersUnavailable(`TEE worker ${worker.account} is not connected`)
    const signal = AbortSignal.timeout(POWERS_MS)
    const { body } = await session.request(FrameOp.powers, { hash: worker.powersHash }, { signal })
    if (!equalBytes(powersHash(body), worker.powersHash)) {
      throw new PowersUnavailable(`TEE worker ${worker.account} serves other powers than it registered`)
    }
    const startedAtMs = performance.now()
    await prover.takePowers(ref, body, { isChecked: false, sectorCount })
    await mkdir(folder, { recursive: true })
    await writeFileAtomic(path, body)
    log.info('powers checked and kept', { worker: worker.account, ms: Math.round(performance.now() - startedAtMs) })
  }
}

async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    return new Uint8Array(await readFile(path))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
