import { readFile } from 'node:fs/promises'
import type { GenesisAllocation } from '@cumulus/execution'
import type { Address } from '@cumulus/types'
import { parseTokens } from './chain-access.ts'
import { CliError } from './command.ts'

const TABLE_BYTES_MAX = 16 * 2 ** 20

/**
 * Who has what in the beginning, one line each: `address, tokens`. What follows a `#` is for people.
 *
 *     # founders
 *     0x52908400098527886e0f7030069857d2e4169ee7, 1000000.5   # Ada
 *
 * @throws CliError BAD_TABLE with the number of the line
 */
export function parseAllocationTable(text: string): GenesisAllocation[] {
  const allocations: GenesisAllocation[] = []
  const lines = new Map<string, number>()
  text.split(/\r?\n/).forEach((line, index) => {
    const bare = line.replace(/#.*$/, '').trim()
    if (bare === '') return
    const bad = (what: string) => {
      const next = 'A line is an address, a comma, and an amount of tokens such as 12.5.'
      return new CliError('BAD_TABLE', `line ${index + 1}: ${what}`, next)
    }
    const [address, amount, ...more] = bare.split(/[,;\t]/).map((field) => field.trim())
    if (more.length > 0 || amount === undefined) throw bad(`"${bare.slice(0, 80)}" has not two fields`)
    if (!/^0x[0-9a-f]{40}$/i.test(address!)) throw bad(`"${address!.slice(0, 80)}" is no address`)
    const lower = address!.toLowerCase() as Address
    const before = lines.get(lower)
    if (before !== undefined) throw bad(`${address} is in line ${before} already`)
    lines.set(lower, index + 1)
    try {
      allocations.push({ address: lower, balance: parseTokens(amount) })
    } catch (error) {
      throw bad((error as Error).message)
    }
  })
  return allocations
}

/** @throws CliError NO_TABLE, BAD_TABLE */
export async function readAllocationTable(path: string): Promise<GenesisAllocation[]> {
  let bytes: Buffer
  try {
    bytes = await readFile(path)
  } catch (cause) {
    throw new CliError('NO_TABLE', `${path} cannot be read`, 'Name a file with --allocations.', { cause })
  }
  if (bytes.length > TABLE_BYTES_MAX) {
    throw new CliError('BAD_TABLE', `${path} has ${bytes.length} bytes, at most ${TABLE_BYTES_MAX} are read`)
  }
  return parseAllocationTable(bytes.toString('utf8'))
}
