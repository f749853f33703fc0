import { mkdirSync, readdirSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { readJsonFile, writeFileAtomic } from '@cumulus/service'
import type { Address } from '@cumulus/types'
import type { Hex } from '../chain-view.ts'

/** A contract whose source was shown to be its source. Plain JSON. */
export interface VerifiedSource {
  readonly address: Address
  /** keccak256 of the code that was compared: another contract at the address (a fork's, say) is not verified. */
  readonly codeHash: Hex
  /** `path/File.sol:Name`. */
  readonly contractName: string
  /** As the compiler calls itself: `v0.8.37+commit…`. */
  readonly compilerVersion: string
  /** Standard JSON that was compiled. */
  readonly input: string
  readonly abi: readonly unknown[]
  readonly constructorArguments: string
  /** Whether even the metadata at the end of the code is the same: comments and names of variables included. */
  readonly isExact: boolean
}

const SOURCE_BYTES_MAX = 8 * 2 ** 20

/** Verified sources, one file each, in a folder. Only their addresses are in memory. */
export class SourceStore {
  readonly #dir: string
  readonly #countMax: number
  /** Last verified goes last. */
  readonly #known: Set<Address>

  constructor(dir: string, countMax: number) {
    this.#dir = dir
    this.#countMax = countMax
    mkdirSync(dir, { recursive: true })
    const names = readdirSync(dir).filter((name) => /^0x[0-9a-f]{40}\.json$/.test(name))
    this.#known = new Set(names.map((name) => name.slice(0, 42) as Address))
  }

  get count(): number {
    return this.#known.size
  }

  /** Whether another contract finds room. */
  hasRoomFor(address: Address): boolean {
    return this.#known.size < this.#countMax || this.#known.has(address)
  }

  async get(address: Address): Promise<VerifiedSource | undefined> {
    if (!this.#known.has(address)) return undefined
    return (await readJsonFile(this.#path(address), SOURCE_BYTES_MAX)) as VerifiedSource | undefined
  }

  /** Durable when it resolves. */
  async put(source: VerifiedSource): Promise<void> {
    await writeFileAtomic(this.#path(source.address), JSON.stringify(source))
    this.#known.add(source.address)
  }

  async remove(address: Address): Promise<void> {
    this.#known.delete(address)
    await rm(this.#path(address), { force: true })
  }

  #path(address: Address): string {
    return `${this.#dir}/${address}.json`
  }
}
