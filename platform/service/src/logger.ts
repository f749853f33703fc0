import { inspect, stripVTControlCharacters } from 'node:util'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'
export type LogFields = Readonly<Record<string, unknown>>

/** Structured log lines on stderr. The message is a constant; what varies goes into fields. */
export interface Logger {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
  /** A logger whose lines carry these fields as well. */
  child(fields: LogFields): Logger
}

interface LoggerInit {
  readonly name: string
  readonly level?: LogLevel
  /** One JSON object a line. Default: when stderr is not a terminal. */
  readonly json?: boolean
  readonly write?: (line: string) => void
  readonly now?: () => Date
}

const ranks: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 }
const colours: Record<LogLevel, string> = { debug: '\x1b[90m', info: '\x1b[36m', warn: '\x1b[33m', error: '\x1b[31m' }

/** A field longer than this is cut: a stranger's input must not fill the disk through the log. */
const FIELD_CHARACTERS_MAX = 2_000

export function createLogger(init: LoggerInit): Logger {
  const level = ranks[init.level ?? 'info']
  const json = init.json ?? !process.stderr.isTTY
  const write = init.write ?? ((line) => void process.stderr.write(line))
  const now = init.now ?? (() => new Date())

  const make = (bound: LogFields): Logger => {
    const log = (at: LogLevel, message: string, fields: LogFields = {}) => {
      if (ranks[at] < level) return
      const all = { ...bound, ...fields }
      const time = now().toISOString()
      write(
        json
          ? `${JSON.stringify({ time, level: at, name: init.name, message, ...plain(all) })}\n`
          : `${time.slice(11, 23)} ${colours[at]}${at.padEnd(5)}\x1b[0m ${init.name} ${message}${pretty(all)}\n`,
      )
    }
    return {
      debug: (message, fields) => log('debug', message, fields),
      info: (message, fields) => log('info', message, fields),
      warn: (message, fields) => log('warn', message, fields),
      error: (message, fields) => log('error', message, fields),
      child: (fields) => make({ ...bound, ...fields }),
    }
  }
  return make({})
}

function plain(fields: LogFields): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, plainValue(value)]))
}

function plainValue(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (value instanceof Uint8Array) return cut(value.toHex())
  if (typeof value === 'string') return cut(value)
  if (value instanceof Error) {
    return {
      name: value.name,
      code: (value as { code?: unknown }).code,
      message: cut(value.message),
      stack: value.stack && cut(value.stack),
      cause: value.cause === undefined ? undefined : plainValue(value.cause),
    }
  }
  if (value !== null && typeof value === 'object') {
    return cut(inspect(value, { depth: 4, maxArrayLength: 20, breakLength: Number.POSITIVE_INFINITY }))
  }
  return value
}

function pretty(fields: LogFields): string {
  let text = ''
  for (const [key, value] of Object.entries(fields)) {
    if (value === undefined) continue
    const shown =
      value instanceof Error
        ? `${(value as { code?: string }).code ?? value.name}: ${value.message}`
        : String(plainValue(value))
    // A stranger's text must not steer the terminal.
    text += ` \x1b[90m${key}=\x1b[0m${cut(stripVTControlCharacters(shown)).replaceAll(/\s*\n\s*/g, ' ⏎ ')}`
  }
  return text
}

function cut(text: string): string {
  return text.length <= FIELD_CHARACTERS_MAX
    ? text
    : `${text.slice(0, FIELD_CHARACTERS_MAX)}… (${text.length} characters)`
}
