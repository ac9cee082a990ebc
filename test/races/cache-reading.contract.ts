import { beforeAll, expect, it } from 'vitest'
import { Child } from '../support/child-process.js'
import { onEveryServer } from '../support/every-server.js'
import { numbers } from '../support/numbers.js'
import type { ReadOrder, ReadReport } from './cache-reader.js'

const ROWS = 1_000_000
// In Node 20 these rows take 139 MB, and their keys alone 42 MB, beside the 20 MB that the program itself takes.
const MEGABYTES = 48

onEveryServer(`a cache of ${ROWS} values and a process with ${MEGABYTES} MB of memory`, (context) => {
  beforeAll(async () => {
    await context.adapter()
    await context.admin.query(
      `insert into go_goscope_cache (\`key\`, value)
        select concat('cache:row ', 1000000 + n), concat('{"n":', n, '}') from (${numbers(ROWS)}) as numbers order by n`,
    )
  })

  it.each(['entries', 'scan'] as const)('that reads each row once and in order with %s()', async (method) => {
    const order: ReadOrder = { url: context.url, method }
    const reader = new Child<ReadReport>('races/cache-reader.ts', order, {
      NODE_OPTIONS: `--max-old-space-size=${MEGABYTES}`,
    })
    expect(await reader.end()).toEqual([{ rows: ROWS }])
  })
})
