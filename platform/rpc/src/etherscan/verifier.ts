import { randomUUID } from 'node:crypto'
import { createRequire } from 'node:module'
import { Worker } from 'node:worker_threads'
import { bytesToHex, hexToBytes } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import { type Logger, limitConcurrency } from '@cumulus/service'
import type { Address } from '@cumulus/types'
import { isRecord } from '../decode.ts'
import { compareCode, type ImmutableReferences } from './compare.ts'
import { SourceStore, type VerifiedSource } from './source-store.ts'
import type { CompilerAnswer, CompilerJob } from './verify-worker.ts'

export interface VerifierInit {
  /** Folder of verified sources. */
  readonly dir: string
  readonly sourcesMax?: number
  /** Bytes of all of them. */
  readonly sourceBytesMax?: number
  /** Verifications that wait or run; one runs at a time. */
  readonly waitingMax?: number
  /** Those that ended and can still be asked about. */
  readonly endedMax?: number
  /** A compilation is given up after this time. */
  readonly compileMsMax?: number
  /** Memory of the compiler. */
  readonly compilerBytesMax?: number
}

export interface VerificationRequest {
  readonly address: Address
  /** As it lies on the chain. */
  readonly code: Uint8Array
  readonly contractName: string
  readonly compilerVersion: string
  /** Standard JSON. */
  readonly input: string
  readonly constructorArguments: string
}

export type VerificationState =
  | { readonly kind: 'waiting' }
  | { readonly kind: 'verified' }
  | { readonly kind: 'failed'; readonly reason: string }

const { version } = createRequire(import.meta.url)('solc/package.json') as { version: string }

/** The one compiler that is on board. Contracts compiled by another version cannot be verified here. */
export const SUPPORTED_COMPILER = `v${version}`

/** Verifies sources by compiling them again, one at a time, in a thread of its own. */
export class Verifier {
  readonly sources: SourceStore
  readonly #log: Logger
  readonly #waitingMax: number
  readonly #endedMax: number
  readonly #compileMsMax: number
  readonly #compilerBytesMax: number
  readonly #states = new Map<string, VerificationState>()
  readonly #inTurn = limitConcurrency(1)
  readonly #ending = new AbortController()
  #waiting = 0

  constructor(init: VerifierInit, log: Logger) {
    this.sources = new SourceStore(init.dir, init.sourcesMax ?? 10_000, init.sourceBytesMax ?? 2 ** 30)
    this.#log = log
    this.#waitingMax = init.waitingMax ?? 8
    this.#endedMax = init.endedMax ?? 1_000
    this.#compileMsMax = init.compileMsMax ?? 120_000
    this.#compilerBytesMax = init.compilerBytesMax ?? 2 ** 30
  }

  /** Begins a verification; undefined if too many wait. */
  begin(request: VerificationRequest): string | undefined {
    if (this.#waiting >= this.#waitingMax) return undefined
    this.#waiting++
    const id = randomUUID()
    this.#states.set(id, { kind: 'waiting' })
    void this.#inTurn(() => this.#verify(request))
      .catch((error: unknown): VerificationState => {
        this.#log.warn('verification failed', { address: request.address, error })
        return { kind: 'failed', reason: 'the verification failed; the log of the node has more' }
      })
      .then((state) => {
        this.#waiting--
        this.#states.set(id, state)
        for (const [old, { kind }] of this.#states) {
          if (this.#states.size - this.#waiting <= this.#endedMax) break
          if (kind !== 'waiting') this.#states.delete(old)
        }
      })
    return id
  }

  state(id: string): VerificationState | undefined {
    return this.#states.get(id)
  }

  /** What was verified of this very code. */
  async verified(address: Address, code: Uint8Array): Promise<VerifiedSource | undefined> {
    const source = await this.sources.get(address)
    return source && source.codeHash === bytesToHex(keccak256(code)) ? source : undefined
  }

  close(): void {
    this.#ending.abort()
  }

  async #verify(request: VerificationRequest): Promise<VerificationState> {
    const failed = (reason: string): VerificationState => ({ kind: 'failed', reason })
    const wanted = request.compilerVersion.replace(/^v/, '').split('+')[0]
    if (wanted !== version) {
      return failed(
        `compiler ${request.compilerVersion.slice(0, 60)} is not supported: this node has ${SUPPORTED_COMPILER}`,
      )
    }
    const input = readInput(request.input)
    if (!input) return failed('the source is no standard JSON input for Solidity')
    const output = await this.#compile(JSON.stringify(input))
    if (output === 'too late') return failed(`the compilation took more than ${this.#compileMsMax} ms`)
    if (output === 'too large') {
      return failed(`the compiler wants more memory than the ${this.#compilerBytesMax} bytes that it is given`)
    }
    const errors = (output.errors ?? []).filter(({ severity }) => severity === 'error')
    if (errors.length > 0) return failed(`compilation failed: ${errors[0]!.formattedMessage?.slice(0, 500)}`)
    const contract = findContract(output, request.contractName)
    if (!contract) return failed(`there is no contract ${request.contractName.slice(0, 200)} in the source`)
    const { object, immutableReferences = {} } = contract.evm.deployedBytecode
    if (!/^(?:[0-9a-f]{2})+$/.test(object)) return failed('the contract is abstract, or its libraries are not named')
    const likeness = compareCode(request.code, hexToBytes(`0x${object}`), immutableReferences)
    if (likeness === 'different') return failed('the compiled bytecode does not match the bytecode on chain')
    const isKept = await this.sources.put({
      address: request.address,
      codeHash: bytesToHex(keccak256(request.code)),
      contractName: contract.name,
      compilerVersion: request.compilerVersion,
      input: request.input,
      abi: contract.abi,
      constructorArguments: request.constructorArguments,
      isExact: likeness === 'exact',
    })
    if (!isKept) return failed('it is the source, but this node keeps no further sources')
    return { kind: 'verified' }
  }

  async #compile(input: string): Promise<CompilerOutput | 'too late' | 'too large'> {
    const file = import.meta.url.endsWith('.ts') ? './verify-worker.ts' : './verify-worker.js'
    const worker = new Worker(new URL(file, import.meta.url), {
      workerData: { input, memoryBytesMax: this.#compilerBytesMax } satisfies CompilerJob,
      name: 'solc',
      resourceLimits: { maxOldGenerationSizeMb: 1_024 },
    })
    worker.unref()
    const result = Promise.withResolvers<CompilerAnswer | 'too late'>()
    worker.once('message', (answer: CompilerAnswer) => result.resolve(answer))
    worker.once('error', (error) => result.reject(error))
    worker.once('exit', () => result.reject(new Error('the compiler ended without an answer')))
    const stop = () => result.resolve('too late')
    const timer = setTimeout(stop, this.#compileMsMax)
    this.#ending.signal.addEventListener('abort', stop)
    try {
      const answer = await result.promise
      if (answer === 'too late') return answer
      return answer.output === undefined ? 'too large' : (JSON.parse(answer.output) as CompilerOutput)
    } finally {
      clearTimeout(timer)
      this.#ending.signal.removeEventListener('abort', stop)
      await worker.terminate()
    }
  }
}

interface CompiledContract {
  readonly abi: readonly unknown[]
  readonly evm: { readonly deployedBytecode: { object: string; immutableReferences?: ImmutableReferences } }
}

interface CompilerOutput {
  readonly errors?: readonly { readonly severity: string; readonly formattedMessage?: string }[]
  readonly contracts?: Readonly<Record<string, Readonly<Record<string, CompiledContract>>>>
}

/** The input with our own choice of outputs: what is asked for decides how long it takes. */
function readInput(text: string): object | undefined {
  let input: unknown
  try {
    input = JSON.parse(text)
  } catch {
    return undefined
  }
  if (!isRecord(input) || input['language'] !== 'Solidity' || !isRecord(input['sources'])) return undefined
  const { modelChecker: _, ...settings } = isRecord(input['settings']) ? input['settings'] : {}
  const outputSelection = {
    '*': { '*': ['abi', 'evm.deployedBytecode.object', 'evm.deployedBytecode.immutableReferences'] },
  }
  return { language: 'Solidity', sources: input['sources'], settings: { ...settings, outputSelection } }
}

/** @param name `path/File.sol:Name`, or `Name` where only one contract bears it */
function findContract(output: CompilerOutput, name: string): (CompiledContract & { name: string }) | undefined {
  const all = Object.entries(output.contracts ?? {}).flatMap(([path, contracts]) =>
    Object.entries(contracts).map(([short, contract]) => ({ ...contract, short, name: `${path}:${short}` })),
  )
  const found = all.filter((contract) => contract.name === name || contract.short === name)
  return found.length === 1 ? found[0] : undefined
}
