import { utf8Decode, utf8Encode } from '@cumulus/bytes'

const VERSION = 1
/** One port for each worker of a gateway. */
const WORKERS_MAX = 64

/** What a miner says of itself. */
export function helloMeta(chainId: number): Uint8Array {
  return utf8Encode(JSON.stringify({ role: 'miner', chainId, version: VERSION }))
}

/**
 * Ports that a gateway's hello names besides the one it was asked at.
 *
 * @throws Error if it is not the hello of such a peer of this chain
 */
export function workerPortsOf(meta: Uint8Array, chainId: number, expected: string): number[] {
  const hello: unknown = JSON.parse(utf8Decode(meta))
  if (typeof hello !== 'object' || hello === null) throw new Error('a hello is an object')
  const { role, chainId: theirs, version, ports } = hello as Record<string, unknown>
  if (role !== expected || theirs !== chainId || version !== VERSION) {
    throw new Error(`a hello of role ${role}, chain ${theirs}, version ${version}`)
  }
  const workers: unknown = (ports as { workers?: unknown } | undefined)?.workers ?? []
  if (!Array.isArray(workers) || workers.length > WORKERS_MAX) throw new Error('ports.workers is a short list')
  const isPort = (port: unknown): boolean => Number.isInteger(port) && (port as number) > 0 && (port as number) < 65_536
  if (!workers.every(isPort)) throw new Error('ports are numbers')
  return [...new Set(workers as number[])]
}
