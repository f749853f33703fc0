import { mkdirSync, readdirSync, statSync } from 'node:fs'
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

/** Verified sources, one file each, in a folder. Only their addresses and sizes are in memory. */
export class SourceStore {
  readonly #dir: string
  readonly #countMax: number
  readonly #bytesMax: number
  /** Size of each file. */
  readonly #known: Map<Address, number>
  #bytes = 0

  constructor(dir: string, countMax: number, bytesMax: number) {
    this.#dir = dir
    this.#countMax = countMax
    this.#bytesMax = bytesMax
    mkdirSync(dir, { recursive: true })
    const names = readdirSync(dir).filter((name) => /^0x[0-9a-f]{40}\.json$/.test(name))
    this.#known = new Map(names.map((name) => [name.slice(0, 42) as Address, statSync(`${dir}/${name}`).size]))
    for (const bytes of this.#known.values()) this.#bytes += bytes
  }

  get count(): number {
    return this.#known.size
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Whether another contract finds room. */
  hasRoomFor(address: Address, bytes = 0): boolean {
    const old = this.#known.get(address)
    const count = this.#known.size + (old === undefined ? 1 : 0)
    return count <= this.#countMax && this.#bytes - (old ?? 0) + bytes <= this.#bytesMax
  }

  async get(address: Address): Promise<VerifiedSource | undefined> {
    if (!this.#known.has(address)) return undefined
    return (await readJsonFile(this.#path(address), SOURCE_BYTES_MAX)) as VerifiedSource | undefined
  }

  /** Durable when it resolves; false if there is no room. */
  async put(source: VerifiedSource): Promise<boolean> {
    const text = JSON.stringify(source)
    const bytes = Buffer.byteLength(text)
    const { address } = source
    if (bytes > SOURCE_BYTES_MAX || !this.hasRoomFor(address, bytes)) return false
    await writeFileAtomic(this.#path(address), text)
    this.#bytes += bytes - (this.#known.get(address) ?? 0)
    this.#known.set(address, bytes)
    return true
  }

  #path(address: Address): string {
    return `${this.#dir}/${address}.json`
  }
}
