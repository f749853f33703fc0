import { describe } from 'node:test'
import { minimal } from '@cumulus/params'
import { objectLayerSuite } from './object-layer-suite.ts'
import { OTHER, OWNER, small, TestNetwork } from './support/network.ts'

for (const [name, params, init] of [
  ['fragments of 64 KiB, on the main thread', small, { workers: 0 }],
  ['fragments of 64 KiB, in worker threads', small, { workers: 2 }],
  ['fragments of 4 KiB, as in the preset `minimal`', minimal, { workers: 0 }],
] as const) {
  describe(`objects on twelve miners: ${name}`, () => {
    const network = new TestNetwork(params)
    const segmentBytes = 4 * params.classes.standard.fragmentBytes
    objectLayerSuite(
      async () => ({
        objects: (await network.gateway(init)).objects,
        close: () => network.close(),
      }),
      {
        owners: [OWNER, OTHER],
        sizes: [0, 1, 4096, 16_368, 65_520, 65_521, segmentBytes - 64, segmentBytes, segmentBytes + 1, 600_001],
      },
    )
  })
}
