import { writeFile } from 'node:fs/promises'
import { parse, View } from 'vega'
import { compile, type TopLevelSpec } from 'vega-lite'
import { type ContenderName, FLOOR, OURS } from '../contenders/contender.js'
import type { OperationName } from '../operations.js'
import type { Results } from '../results.js'

/** What the plot shows, from top to bottom. */
const shown: readonly OperationName[] = ['acquire + release', 'hot lock', 'recordFailure', 'get', 'set', 'save']

// Readable on white and on black.
const TEXT = '#848d97'
const LINES = '#84848433'
const colours: readonly [ContenderName, string][] = [
  [FLOOR, '#8b8b8b'],
  [OURS, '#2f81f7'],
  ['go-go-scope', '#e5534b'],
  ['verrou', '#c69026'],
  ['keyv', '#57ab5a'],
  ['bentocache', '#986ee2'],
]

/** Draws the throughput against the number of callers: a row for each operation, a column for each server. */
export async function drawThroughput(results: Results): Promise<void> {
  const values = results.measurements
    .filter(({ operation, contender }) => shown.includes(operation) && colours.some(([name]) => name === contender))
    .map(({ server, operation, contender, callers, throughput }) => ({
      server,
      operation,
      contender,
      callers,
      ...throughput,
    }))
  const { spec } = compile(
    figure(
      values,
      results.servers.map(({ name }) => name),
    ),
  )
  const svg = await new View(parse(spec), { renderer: 'none' }).toSVG()
  await writeFile(new URL('../throughput.svg', import.meta.url), `${svg}\n`)
}

function figure(values: object[], servers: readonly string[]): TopLevelSpec {
  const x = {
    field: 'callers',
    type: 'ordinal',
    axis: { title: null, labelAngle: 0 },
  } as const
  const axis = { title: null, format: '~s', tickCount: 3 } as const
  const colour = {
    field: 'contender',
    type: 'nominal',
    title: null,
    scale: { domain: colours.map(([name]) => name), range: colours.map(([, colour]) => colour) },
    legend: { orient: 'top', symbolType: 'stroke', symbolStrokeWidth: 3, symbolSize: 200 },
  } as const
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    background: 'transparent',
    data: { values },
    title: {
      text: 'Operations per second by 1, 16 and 64 concurrent callers',
      color: TEXT,
      fontSize: 13,
      fontWeight: 'normal',
      anchor: 'middle',
    },
    facet: {
      row: {
        field: 'operation',
        sort: [...shown],
        title: null,
        header: { labelFontSize: 12, labelFontWeight: 'bold' },
      },
      column: { field: 'server', sort: [...servers], title: null, header: { labelFontSize: 12 } },
    },
    spec: {
      width: 150,
      height: 90,
      layer: [
        {
          mark: { type: 'line', point: { size: 25, filled: true }, strokeWidth: 2 },
          encoding: { x, y: { field: 'median', type: 'quantitative', axis }, color: colour },
        },
      ],
    },
    resolve: { scale: { y: 'independent' } },
    config: {
      font: 'system-ui, sans-serif',
      view: { stroke: LINES },
      axis: {
        labelColor: TEXT,
        titleColor: TEXT,
        gridColor: LINES,
        domainColor: LINES,
        tickColor: LINES,
        titleFontWeight: 'normal',
      },
      header: { labelColor: TEXT },
      legend: { labelColor: TEXT, labelFontSize: 12 },
    },
  }
}
