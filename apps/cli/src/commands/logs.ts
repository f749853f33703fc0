import { open, stat } from 'node:fs/promises'
import { sleep } from '@cumulus/service'
import { CliError, command } from '../command.ts'
import { NetworkFolder } from '../network-folder.ts'
import { bold, dim, red, yellow } from '../table.ts'
import { networkSettings } from './settings.ts'

/** Bytes from the end of each log that are looked at for its last lines. */
const TAIL_BYTES = 2 * 2 ** 20

interface Line {
  readonly time: string
  readonly process: string
  readonly text: string
}

export const logs = command({
  name: 'logs',
  summary: 'Shows the log lines of the local network, merged by time.',
  positionals: '[PROCESS...]',
  settings: {
    ...networkSettings,
    lines: { kind: 'number', help: 'lines to show', default: 50, min: 0, max: 100_000 },
    follow: { kind: 'flag', help: 'go on as lines are written', default: false },
    level: { kind: 'text', help: 'least level to show', default: 'info', choices: ['debug', 'info', 'warn', 'error'] },
  },
  examples: ['cumulus logs --follow', 'cumulus logs gateway-1 miner-03 --level warn'],
  async run({ settings, positionals, signal }) {
    const folder = new NetworkFolder(settings.dir)
    const processes = await folder.readProcesses()
    const names = processes.map((entry) => entry.name)
    for (const name of positionals) {
      if (!names.some((known) => known === name || known.startsWith(`${name}-`))) {
        throw new CliError(
          'NO_SUCH_PROCESS',
          `no process "${name}" in ${folder.path}`,
          `There are: ${names.join(', ')}.`,
        )
      }
    }
    const chosen =
      positionals.length === 0
        ? names
        : names.filter((known) => positionals.some((name) => known === name || known.startsWith(`${name}-`)))
    const offsets = new Map<string, number>()
    const show = (lines: Line[]) => {
      for (const line of lines) {
        const shown = settings.json ? rawLine(line) : prettyLine(line)
        if (shown !== undefined && atLeast(line.text, settings.level)) console.log(shown)
      }
    }
    const read = async (process: string): Promise<Line[]> => {
      const path = folder.logFile(process)
      const size = await stat(path).then(
        (info) => info.size,
        () => 0,
      )
      let from = offsets.get(process) ?? Math.max(0, size - TAIL_BYTES)
      if (size < from) from = 0 // rotated
      if (size === from) return []
      const file = await open(path, 'r')
      try {
        const buffer = Buffer.alloc(Math.min(size - from, TAIL_BYTES))
        await file.read(buffer, 0, buffer.length, from)
        const end = buffer.lastIndexOf(0x0a) + 1
        offsets.set(process, from + end)
        return buffer
          .subarray(0, end)
          .toString()
          .split('\n')
          .filter((text) => text !== '')
          .map((text) => ({ process, text, time: /"time":"([^"]+)"/.exec(text)?.[1] ?? '' }))
      } finally {
        await file.close()
      }
    }
    const readAll = async () =>
      (await Promise.all(chosen.map(read))).flat().sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0))
    const first = (await readAll()).filter((line) => atLeast(line.text, settings.level))
    show(settings.lines === 0 ? [] : first.slice(-settings.lines))
    while (settings.follow && !signal.aborted) {
      await sleep(200, signal).catch(() => {})
      show(await readAll())
    }
    return 0
  },
})

const ranks = ['debug', 'info', 'warn', 'error']

function atLeast(text: string, level: string): boolean {
  const own = /"level":"(\w+)"/.exec(text)?.[1]
  return own === undefined || ranks.indexOf(own) >= ranks.indexOf(level)
}

function rawLine(line: Line): string {
  try {
    return JSON.stringify({ process: line.process, ...JSON.parse(line.text) })
  } catch {
    return JSON.stringify({ process: line.process, message: line.text })
  }
}

function prettyLine(line: Line): string {
  try {
    const { time, level, name: _, message, ...fields } = JSON.parse(line.text) as Record<string, unknown>
    const paint = level === 'error' ? red : level === 'warn' ? yellow : (text: string) => text
    const rest = Object.entries(fields)
      .map(([key, value]) => `${dim(`${key}=`)}${typeof value === 'object' && value !== null ? short(value) : value}`)
      .join(' ')
    return `${dim(String(time).slice(11, 23))} ${bold(line.process.padEnd(11))} ${paint(String(message))} ${rest}`
  } catch {
    return `${bold(line.process.padEnd(11))} ${line.text}`
  }
}

function short(value: object): string {
  const error = value as { code?: unknown; name?: unknown; message?: unknown }
  return error.message === undefined ? JSON.stringify(value) : `${error.code ?? error.name}: ${error.message}`
}
