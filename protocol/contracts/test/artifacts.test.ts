import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { moduleDefinitions } from '@cumulus/ledger'
import { compileAll, readArtifacts } from '../compile/artifacts.ts'
import { interfaceFiles, readInterface } from '../compile/interfaces.ts'
import { compile } from '../compile/solidity.ts'

describe('what is made from sources and kept', () => {
  // If one of these fails, `npm run contracts` makes everything anew.
  it('has the interface of every module, as the module is now', () => {
    assert.equal(interfaceFiles().size, Object.keys(moduleDefinitions).length)
    for (const [fileName, text] of interfaceFiles()) assert.equal(readInterface(fileName), text, fileName)
  })

  it('is what the compiler makes of the sources', () => {
    const [made, kept] = [compileAll(), readArtifacts()]
    assert.equal(kept.artifacts.digest, made.artifacts.digest)
    assert.deepEqual(kept.artifacts, made.artifacts)
    assert.equal(kept.abis, made.abis)
  })
})

describe('the compiler', () => {
  it('takes all interfaces of modules', () => {
    const names = [...interfaceFiles().keys()]
    const imports = names.map((name) => `import "interfaces/${name}";`)
    const source = ['// SPDX-License-Identifier: Apache-2.0', 'pragma solidity ^0.8.28;', ...imports].join('\n')
    compile({ 'all.sol': source }, [])
  })

  it('says what is wrong, and which file is missing', () => {
    const head = '// SPDX-License-Identifier: Apache-2.0\npragma solidity ^0.8.28;\n'
    assert.throws(() => compile({ 'a.sol': `${head}contract A { uint x = "no"; }` }, []), /a\.sol:3/)
    assert.throws(() => compile({ 'a.sol': `${head}import "@openzeppelin/nothing.sol";` }, []), /no file @openzeppelin/)
    assert.throws(() => compile({ 'a.sol': `${head}import "interfaces/Nothing.sol";` }, []), /no file interfaces/)
  })
})
