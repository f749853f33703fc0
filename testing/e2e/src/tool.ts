import { execFile, spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** What a shell, and a version manager's stand-in for a command that was never installed, end with. */
const COMMAND_NOT_FOUND = 127

/** Path of a command as Debian installs it, else as PATH finds it; undefined if it is not on this machine. */
export function findTool(name: string): string | undefined {
  for (const folder of ['/usr/bin', ...(process.env['PATH'] ?? '').split(delimiter)]) {
    const path = join(folder, name)
    try {
      accessSync(path, constants.X_OK)
    } catch {
      continue
    }
    if (spawnSync(path, ['--version'], { timeout: 60_000 }).status !== COMMAND_NOT_FOUND) return path
  }
  return undefined
}

/** The caller's own settings of these tools must not steer a test: keys, endpoints, certificate bundles. */
const foreign = /^(AWS|RCLONE|RESTIC|S3CMD)_|_proxy$/i

function cleanEnvironment(): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name)))
}

/** Runs a command to its end; throws with what it printed if it fails. */
export async function runTool(
  path: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<string> {
  try {
    const { stdout } = await run(path, args, {
      env: { ...cleanEnvironment(), ...env },
      maxBuffer: 64 * 2 ** 20,
      timeout: 600_000,
    })
    return stdout
  } catch (error) {
    const { stdout, stderr, message } = error as { stdout?: string; stderr?: string; message: string }
    throw new Error(`${message.split('\n')[0]}\n${stdout?.slice(-2_000)}\n${stderr?.slice(-4_000)}`)
  }
}
