import { beforeAll, describe, expect, it } from 'vitest'
import { audit, computeInMemory, type Outcome } from '../../examples/airports/audit.js'
import { batchesOf, type Plan, readLocations, readRoutes } from '../../examples/airports/dataset.js'
import { type EnrichedRoute, enrichRoutes } from '../../examples/airports/geography.js'
import { drawMisfortunes } from '../../examples/airports/misfortune.js'
import { onEveryServer } from '../support/every-server.js'
import { runExample } from '../support/run-example.js'

onEveryServer('the airports demo', (context) => {
  it('leaves every row exactly once although workers are killed and suspended, run after run', async () => {
    await runDemo(context.url, '--rows', '64', '--workers', '1', '--crashes', '0', '--suspensions', '0')
    const { code, output } = await runDemo(
      context.url,
      ...['--rows', '960', '--workers', '3', '--crashes', '3', '--suspensions', '1'],
    )
    expect(output).toContain('3 crashes survived')
    expect(output).toContain('0 duplicates, 0 lost, 0 altered, 0 airports miscounted')
    expect(output).toContain('Every row was applied exactly once.')
    expect(code).toBe(0)

    // Not by the demo's own word only.
    const [rows] = await context.admin.query(
      'select count(*) as found, count(distinct row_in_file) as differing from demo_routes',
    )
    expect(rows).toEqual([{ found: 960, differing: 960 }])
  }, 150_000)
})

describe('the audit of the airports demo', () => {
  let expected: Outcome

  beforeAll(() => {
    expected = computeInMemory(enrichRoutes(readRoutes(500), readLocations()))
  })

  it('is content with what it expects, in any order', () => {
    expect(audit(expected, { routes: expected.routes.toReversed(), airports: expected.airports }).isClean).toBe(true)
  })

  it('finds a row that was applied twice', () => {
    const twice = expected.routes[7] as EnrichedRoute
    const report = audit(expected, { ...expected, routes: [...expected.routes, twice] })
    expect(report).toMatchObject({ isClean: false, duplicated: [7], lost: [], altered: [] })
  })

  it('finds a row that was lost', () => {
    const report = audit(expected, { ...expected, routes: expected.routes.filter(({ row }) => row !== 7) })
    expect(report).toMatchObject({ isClean: false, duplicated: [], lost: [7], altered: [] })
  })

  it('is not deceived by a row lost and another one applied twice', () => {
    const [first, ...others] = expected.routes
    const report = audit(expected, { ...expected, routes: [...others, others[0] as EnrichedRoute] })
    expect(report).toMatchObject({ isClean: false, duplicated: [1], lost: [first?.row] })
  })

  it('finds a row with other contents, and one that nobody knows', () => {
    const routes = expected.routes.map((route) => (route.row === 7 ? { ...route, flights: route.flights + 1 } : route))
    const unknown = { ...(expected.routes[0] as EnrichedRoute), row: 99_999 }
    expect(audit(expected, { ...expected, routes: [...routes, unknown] })).toMatchObject({
      isClean: false,
      altered: [7, 99_999],
    })
  })

  it('finds a counter that was added to twice although the rows are right', () => {
    const airports = expected.airports.map((airport) =>
      airport.iata === 'ATL' ? { ...airport, arrivals: airport.arrivals + 853 } : airport,
    )
    expect(audit(expected, { ...expected, airports })).toMatchObject({ isClean: false, miscounted: ['ATL'] })
  })
})

describe('the input of the airports demo', () => {
  it.each([1, 15, 16, 17, 129, 5366])('of %i rows is divided into batches without a gap or an overlap', (rows) => {
    const plan: Plan = { rows, shards: 8, batchSize: 16 }
    const routes = readRoutes(rows)
    const divided = Array.from({ length: plan.shards }, (_, shard) => batchesOf(shard, routes, plan)).flat(2)
    expect(divided.map(({ row }) => row)).toEqual(Array.from({ length: rows }, (_, row) => row))
  })

  it('is met by the same misfortunes again when the seed is the same', () => {
    expect(drawMisfortunes(42, 4, 7, 2)).toEqual(drawMisfortunes(42, 4, 7, 2))
    expect(drawMisfortunes(42, 4, 7, 2)).not.toEqual(drawMisfortunes(43, 4, 7, 2))
    expect(drawMisfortunes(42, 4, 7, 2)).toHaveLength(9)
  })
})

function runDemo(url: string, ...options: string[]): Promise<{ code: number; output: string }> {
  return runExample('airports/demo.ts', url, '--seed', '1', '--pause', '20', ...options)
}
