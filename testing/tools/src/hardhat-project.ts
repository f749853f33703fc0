import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Abi, Hex } from 'viem'
import { keys } from './local-chain.ts'

const run = promisify(execFile)
const require = createRequire(import.meta.url)
const project = join(dirname(fileURLToPath(import.meta.url)), '../hardhat')
const cli = join(dirname(require.resolve('hardhat/package.json')), 'dist/src/cli.js')

export interface Artifact {
  readonly abi: Abi
  readonly bytecode: Hex
}

/** The Hardhat project beside this, driven by its own command line. What it makes goes into a folder of the test. */
export class HardhatProject {
  readonly #out: string
  readonly #url: string

  constructor(out: string, url: string) {
    this.#out = out
    this.#url = url
  }

  /** @throws with what Hardhat printed if it fails */
  async hardhat(...args: readonly string[]): Promise<string> {
    const env = {
      ...process.env,
      NODE_OPTIONS: '',
      CUMULUS_RPC: this.#url,
      CUMULUS_KEYS: keys.slice(0, 3).join(','),
      CUMULUS_HARDHAT_OUT: this.#out,
      HARDHAT_DISABLE_TELEMETRY_PROMPT: 'true',
      XDG_CACHE_HOME: `${this.#out}/home`,
      XDG_DATA_HOME: `${this.#out}/home`,
      XDG_CONFIG_HOME: `${this.#out}/home`,
    }
    try {
      const { stdout } = await run(process.execPath, [cli, ...args], { cwd: project, env, timeout: 120_000 })
      return stdout
    } catch (error) {
      const { stdout, stderr, message } = error as { stdout?: string; stderr?: string; message: string }
      throw new Error(`${message.split('\n')[0]}\n${stdout}\n${stderr}`)
    }
  }

  async artifact(name: string): Promise<Artifact> {
    return JSON.parse(await readFile(join(this.#out, `artifacts/contracts/${name}.sol/${name}.json`), 'utf8'))
  }
}
