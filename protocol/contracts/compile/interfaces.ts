import { readFileSync, writeFileSync } from 'node:fs'
import { moduleDefinitions, solidityInterface } from '@cumulus/ledger'

const FOLDER = new URL('../interfaces/', import.meta.url)

/** Solidity interface files of all protocol modules, by file name. */
export function interfaceFiles(): ReadonlyMap<string, string> {
  return new Map(Object.entries(moduleDefinitions).map(([name, module]) => [`${name}.sol`, solidityInterface(module)]))
}

export function readInterface(fileName: string): string {
  return readFileSync(new URL(fileName, FOLDER), 'utf8')
}

export function writeInterfaces(): void {
  for (const [fileName, text] of interfaceFiles()) writeFileSync(new URL(fileName, FOLDER), text)
}
