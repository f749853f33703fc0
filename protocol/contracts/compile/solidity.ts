import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { keccak256 } from '@cumulus/hash'
import solc from 'solc'
import type { Abi } from 'viem'

/** What the compiler makes of one contract. */
export interface Compiled {
  readonly abi: Abi
  /** Constructor and code, without the constructor's arguments. */
  readonly creationCode: `0x${string}`
  /** What the constructor returns, as far as it is known before it has run: immutables are zero. */
  readonly runtimeBytes: number
}

export interface CompilerOutput {
  readonly errors?: readonly { readonly severity: string; readonly formattedMessage: string }[]
  readonly contracts?: Readonly<Record<string, Readonly<Record<string, CompiledContract>>>>
}

interface CompiledContract {
  readonly abi: Abi
  readonly evm: {
    readonly bytecode: { readonly object: string }
    readonly deployedBytecode: { readonly object: string }
  }
}

const FOLDER = new URL('../', import.meta.url)

/** Without metadata at the code's end, equal sources give equal code wherever they lie. */
const SETTINGS = {
  optimizer: { enabled: true, runs: 200 },
  evmVersion: 'cancun',
  metadata: { appendCBOR: false, bytecodeHash: 'none' },
}

const OUTPUT = ['abi', 'evm.bytecode.object', 'evm.deployedBytecode.object']

/** Our own contracts by the path that they import each other by. */
export function ownSources(): Record<string, string> {
  const files = readdirSync(new URL('solidity/', FOLDER)).filter((file) => file.endsWith('.sol'))
  return Object.fromEntries(files.sort().map((file) => [`solidity/${file}`, readOwn(`solidity/${file}`)]))
}

function readOwn(path: string): string {
  return readFileSync(new URL(path, FOLDER), 'utf8')
}

/** Reads what an import names, and remembers that it was needed: an interface of a module, or a file of a package. */
function importer(used: Map<string, string>) {
  return (path: string): { contents: string } | { error: string } => {
    const isOwn = path.startsWith('interfaces/') || path.startsWith('solidity/')
    const place = isOwn ? fileURLToPath(new URL(path, FOLDER)) : packageFile(path)
    if (place === undefined || !existsSync(place)) return { error: `no file ${path}` }
    const contents = readFileSync(place, 'utf8')
    used.set(path, contents)
    return { contents }
  }
}

function packageFile(path: string): string | undefined {
  for (const base of ['node_modules/', '../../node_modules/']) {
    const place = fileURLToPath(new URL(base + path, FOLDER))
    if (existsSync(place)) return place
  }
  return undefined
}

/**
 * Compiles `sources` together with the packages they import.
 *
 * @param wanted `path:Contract` of the contracts whose code is made: the rest is only checked
 * @throws Error with what the compiler said
 */
export function compile(
  sources: Readonly<Record<string, string>>,
  wanted: readonly string[],
): {
  readonly contracts: ReadonlyMap<string, Compiled>
  /** Digest of everything that went in: sources, those of packages, settings, the compiler's version. */
  readonly digest: string
} {
  const used = new Map(Object.entries(sources))
  const input = {
    language: 'Solidity',
    sources: Object.fromEntries(Object.entries(sources).map(([path, content]) => [path, { content }])),
    settings: { ...SETTINGS, outputSelection: selection(wanted) },
  }
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: importer(used) })) as CompilerOutput
  const errors = (output.errors ?? []).filter(({ severity }) => severity === 'error')
  if (errors.length > 0) throw new Error(errors.map(({ formattedMessage }) => formattedMessage).join('\n'))
  const contracts = new Map<string, Compiled>()
  for (const file of Object.values(output.contracts ?? {})) {
    for (const [name, { abi, evm }] of Object.entries(file)) {
      if (evm.bytecode.object === '') continue
      const runtimeBytes = evm.deployedBytecode.object.length / 2
      contracts.set(name, { abi, creationCode: `0x${evm.bytecode.object}`, runtimeBytes })
    }
  }
  return { contracts, digest: digestOf(used, solc.version()) }
}

function selection(wanted: readonly string[]): Record<string, Record<string, string[]>> {
  const selected: Record<string, Record<string, string[]>> = {}
  for (const one of wanted) {
    const [path, name] = one.split(':') as [string, string]
    selected[path] = { ...selected[path], [name]: OUTPUT }
  }
  return selected
}

function digestOf(used: ReadonlyMap<string, string>, version: string): string {
  const parts = [...used].sort(([a], [b]) => (a < b ? -1 : 1))
  return keccak256(new TextEncoder().encode(JSON.stringify([version, SETTINGS, parts]))).toHex()
}
