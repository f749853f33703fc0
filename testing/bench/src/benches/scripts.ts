import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Bench, BenchContext } from '../bench.ts'
import { BenchError } from '../bench-error.ts'
import type { BenchReport, Size } from '../report.ts'

const root = join(import.meta.dirname, '../../../..')

interface Script {
  readonly path: string
  readonly args: Readonly<Record<Size, readonly number[]>>
}

/** Frames beside bare `node:tls`: see the head of the script for its arguments. */
export const framesBench: Bench = (context) =>
  runScripts('frames', context, [
    {
      path: 'platform/network/bench/frames.ts',
      args: { tiny: [1, 16, 200], small: [3, 128, 5_000], full: [5, 512, 20_000] },
    },
  ])

/** Runs benchmarks that packages keep themselves, each in a process of its own; their lines become notes. */
async function runScripts(bench: string, context: BenchContext, scripts: readonly Script[]): Promise<BenchReport> {
  const startMs = performance.now()
  const notes: string[] = []
  const skipped: string[] = []
  for (const { path, args } of scripts) {
    if (!existsSync(join(root, path))) {
      skipped.push(`${path} is not here`)
      continue
    }
    context.progress(path)
    notes.push(...(await runScript(join(root, path), args[context.size].map(String), context)))
  }
  return {
    bench,
    size: context.size,
    seconds: (performance.now() - startMs) / 1000,
    rows: [],
    targets: [],
    memoryHighWater: {},
    skipped,
    notes,
  }
}

/** Lines that a script prints, within the time there is. */
export async function runScript(path: string, args: readonly string[], context: BenchContext): Promise<string[]> {
  context.signal.throwIfAborted()
  const timeLimit = AbortSignal.timeout(Math.max(1_000, Math.round(context.deadlineMs - performance.now())))
  const child = spawn(process.execPath, ['--conditions=@cumulus/source', path, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    signal: AbortSignal.any([context.signal, timeLimit]),
  })
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err = (err + text).slice(-4_000)
  })
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', (error) => {
      reject(timeLimit.aborted ? new BenchError('OUT_OF_TIME', `${path} takes too long`, {}, { cause: error }) : error)
    })
    child.once('close', resolve)
  })
  if (code !== 0) throw new BenchError('SCRIPT_FAILED', `${path} ended with ${code}: ${err.trim()}`)
  return out.trim().split('\n')
}
