import { bytesToHex } from '@cumulus/bytes'
import { moduleAbis, stripeRootSlot } from '@cumulus/ledger/modules'
import { CertificateError, genesisCommittee, LightClient, SdkError, type SdkErrorCode } from '@cumulus/light-client'
import type { Params } from '@cumulus/params'
import { type Logger, type Metrics, readJsonFile } from '@cumulus/service'
import { fastAggregateVerify } from '@cumulus/threshold'
import { createWorkerMetrics, type WorkerMetrics } from './metrics.ts'
import type { StripeKey } from './tag-records.ts'
import { TeeWorkerError } from './tee-worker-error.ts'

/** Whether the certified chain has a segment root under a name. To an enclave its host, and so every node it reaches, is a stranger. */
export interface RootProver {
  /** For people: what the roots are believed by. */
  readonly description: string
  /** Returns if the root may be tagged. @throws RootUnproven */
  prove(key: StripeKey, root: Uint8Array, signal: AbortSignal): Promise<void>
}

export type RootUnprovenCode =
  | SdkErrorCode
  | CertificateError['code']
  /** The certified state has another root under this name. */
  | 'OTHER_ROOT'
  /** The certified state that the node shows has none: it may be an old one. */
  | 'NOT_COMMITTED'

/** No node proves the root, so nothing is tagged. It is tried again later. */
export class RootUnproven extends Error {
  readonly code: RootUnprovenCode
  constructor(code: RootUnprovenCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'RootUnproven'
    this.code = code
  }

  /** Nobody answered, or nothing is certified yet: no node has said anything wrong. */
  get isOutage(): boolean {
    return this.code === 'UNREACHABLE' || this.code === 'NOT_CERTIFIED'
  }
}

export interface RootsInit {
  readonly params: Params
  readonly rpc: readonly string[]
  /** File. */
  readonly genesis?: string
}

const BELIEVED = 'believed, one validator certifies nothing'
const BELIEVED_WITHOUT_GENESIS = 'believed, no genesis says who certifies'

/**
 * Proof against certificates where a genesis names a committee. Else the node is believed, and whoever looks is told.
 *
 * @throws TeeWorkerError GENESIS_MISSING, GENESIS_MALFORMED
 */
export async function openRoots(
  { params, rpc, genesis: file }: RootsInit,
  { log, metrics }: { readonly log: Logger; readonly metrics: Metrics },
): Promise<RootProver> {
  if (file === undefined) {
    if (params.name === 'mainnet') {
      throw new TeeWorkerError(
        'GENESIS_MISSING',
        'set the genesis file of the network: it says whose certificates count',
      )
    }
    return believedRoots(BELIEVED_WITHOUT_GENESIS, log)
  }
  const genesis = await readGenesisFile(file, params)
  if (genesis.committee === undefined) return believedRoots(BELIEVED, log)
  try {
    genesisCommittee(genesis)
  } catch (cause) {
    throw new TeeWorkerError('GENESIS_MALFORMED', `${file}: ${(cause as Error).message}`, { file }, { cause })
  }
  return new CertifiedRoots(rpc, genesis, createWorkerMetrics(metrics))
}

/** Roots as the node says them. */
export function believedRoots(description: string, log: Logger): RootProver {
  log.warn('segment roots are believed as the node says them', { roots: description })
  return { description, prove: async () => undefined }
}

/**
 * Asks one node after the other until one proves the root by a certificate of the committee. A node that fails is asked
 * last the next time.
 */
class CertifiedRoots implements RootProver {
  readonly description = 'proven by certificates of the committee'
  readonly #urls: readonly string[]
  readonly #genesis: unknown
  readonly #metrics: Pick<WorkerMetrics, 'unproven'>
  readonly #clients = new Map<string, LightClient>()
  #index = 0

  constructor(urls: readonly string[], genesis: unknown, metrics: Pick<WorkerMetrics, 'unproven'>) {
    this.#urls = urls
    this.#genesis = genesis
    this.#metrics = metrics
  }

  async prove(key: StripeKey, root: Uint8Array, signal: AbortSignal): Promise<void> {
    let worst: RootUnproven | undefined
    for (let attempt = 0; attempt < this.#urls.length; attempt++) {
      const at = this.#index
      try {
        await this.#proveBy(this.#urls[at]!, key, root, signal)
        return
      } catch (error) {
        signal.throwIfAborted()
        const unproven = asUnproven(error)
        this.#metrics.unproven.inc({ code: unproven.code })
        // Whoever was asked, this is the committee's word.
        if (unproven.code === 'OTHER_ROOT') throw unproven
        // Others may have moved on meanwhile.
        if (this.#index === at) this.#index = (at + 1) % this.#urls.length
        if (!worst || worst.isOutage) worst = unproven
      }
    }
    throw worst ?? new RootUnproven('UNREACHABLE', 'there is no node to ask')
  }

  async #proveBy(url: string, { group, stripe }: StripeKey, root: Uint8Array, signal: AbortSignal): Promise<void> {
    let client = this.#clients.get(url)
    if (!client) {
      client = await LightClient.connect({ url, genesis: this.#genesis, bls: { fastAggregateVerify }, signal })
      this.#clients.set(url, client)
    }
    const slot = stripeRootSlot(group, stripe)
    const { storage, header } = await client.verifyProof(moduleAbis.Storage.address, [slot], { signal })
    const found = storage.get(slot)!
    if (found === 0n) throw new RootUnproven('NOT_COMMITTED', `block ${header.number} has no root there`)
    if (found !== BigInt(bytesToHex(root))) {
      const has = `0x${found.toString(16).padStart(64, '0')}`
      throw new RootUnproven('OTHER_ROOT', `block ${header.number} has root ${has}, a node says ${bytesToHex(root)}`)
    }
  }
}

function asUnproven(error: unknown): RootUnproven {
  if (error instanceof RootUnproven) return error
  if (error instanceof SdkError || error instanceof CertificateError) {
    return new RootUnproven(error.code, error.message, { cause: error })
  }
  throw error
}

async function readGenesisFile(file: string, params: Params): Promise<{ readonly committee?: unknown }> {
  let genesis: unknown
  try {
    genesis = await readJsonFile(file)
  } catch (cause) {
    throw new TeeWorkerError('GENESIS_MALFORMED', `${file} cannot be read as a genesis file`, { file }, { cause })
  }
  if (genesis === undefined) throw new TeeWorkerError('GENESIS_MISSING', `there is no genesis file ${file}`, { file })
  const { preset } = (genesis ?? {}) as { preset?: unknown }
  if (preset !== params.name) {
    throw new TeeWorkerError('GENESIS_MALFORMED', `${file} is of the rules ${preset}, and these are ${params.name}`, {
      file,
    })
  }
  return genesis as { committee?: unknown }
}
