/** Icons, drawn for 16 pixels; colours are those of the theme. */
import { LabIcon } from '@jupyterlab/ui-components';

import type { TreeKind } from '../api/types';

const GREY = 'class="jp-icon3 jp-icon-selectable" fill="#616161"';
const BLUE = 'class="jp-icon-contrast3 jp-icon-selectable" fill="#1976d2"';
const GREEN = 'class="jp-icon-contrast1 jp-icon-selectable" fill="#388e3c"';
const PURPLE = 'class="jp-icon-contrast0 jp-icon-selectable" fill="#8e24aa"';
const PINK = 'class="jp-icon-contrast2 jp-icon-selectable" fill="#d81b60"';
const BRAND = 'class="jp-icon-brand0 jp-icon-selectable" fill="#1976d2"';
const WARN = 'class="jp-icon-warn0 jp-icon-selectable" fill="#f57c00"';

function icon(name: string, body: string, size = 16): LabIcon {
  const svgstr = `<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" viewBox="0 0 ${size} ${size}">${body}</svg>`;
  return new LabIcon({ name: `caterva2:${name}`, svgstr });
}

/** A sheet with a folded corner, around a mark. */
const sheet = (mark: string): string =>
  `<path ${GREY} fill-rule="evenodd" d="M3 1h6.6L13 4.4V15H3V1zm1.2 1.2v11.6h7.6V5.4H8.8V2.2H4.2z"/>${mark}`;

/** Three faces of a cube of chunks, one of them taken out. */
export const caterva2Icon = icon(
  'logo',
  `<g ${GREY}><path d="M12 1.6 21.4 6.3 12 11 2.6 6.3z" opacity="0.55"/>` +
    '<path d="M1.8 8 11.2 12.7v9.7l-4-2v-4.8l-5.4-2.7z"/>' +
    '<path d="M22.2 8v9.8l-9.4 4.6v-9.7l3.9-1.95v4.5l2.3-1.15V9.6z"/></g>',
  24
);

export const rootIcon = icon(
  'root',
  `<g ${BRAND}><path d="M8 1.2c3.4 0 6 .9 6 2.3v.3c0 1.4-2.6 2.3-6 2.3s-6-.9-6-2.3v-.3c0-1.4 2.6-2.3 6-2.3z"/>` +
    '<path d="M2 6.1c1.2.9 3.4 1.4 6 1.4s4.8-.5 6-1.4v2.1c0 1.4-2.6 2.3-6 2.3s-6-.9-6-2.3z"/>' +
    '<path d="M2 10.5c1.2.9 3.4 1.4 6 1.4s4.8-.5 6-1.4v2c0 1.4-2.6 2.3-6 2.3s-6-.9-6-2.3z"/></g>'
);

export const areaIcon = icon(
  'area',
  `<g ${GREEN}><path d="M1.5 3h4.8l1.4 1.6h6.8V13h-13z"/></g>` +
    '<path class="jp-icon-output" fill="#fff" d="M8 6.2a1.5 1.5 0 1 1 0 3 1.5 1.5 0 0 1 0-3zm-2.8 5.6c0-1.3 1.3-2 2.8-2s2.8.7 2.8 2z"/>'
);

export const directoryIcon = icon('directory', `<path ${GREY} d="M1.5 3h4.8l1.4 1.6h6.8V13h-13z"/>`);

export const arrayIcon = icon(
  'array',
  `<g ${BLUE}><path d="M1.5 1.5h3.7v3.7H1.5z"/><path d="M6.15 1.5h3.7v3.7h-3.7z" opacity="0.6"/>` +
    '<path d="M10.8 1.5h3.7v3.7h-3.7z"/><path d="M1.5 6.15h3.7v3.7H1.5z" opacity="0.6"/>' +
    '<path d="M6.15 6.15h3.7v3.7h-3.7z"/><path d="M10.8 6.15h3.7v3.7h-3.7z" opacity="0.35"/>' +
    '<path d="M1.5 10.8h3.7v3.7H1.5z"/><path d="M6.15 10.8h3.7v3.7h-3.7z" opacity="0.35"/>' +
    '<path d="M10.8 10.8h3.7v3.7h-3.7z" opacity="0.6"/></g>'
);

export const tableIcon = icon(
  'table',
  `<g ${GREEN}><path d="M1.5 2h13v3.2h-13z"/><path opacity="0.75" d="M1.5 6.2h3.7v3.4H1.5zM6.2 6.2h3.6v3.4H6.2zM10.8 6.2h3.7v3.4h-3.7zM1.5 10.6h3.7V14H1.5zM6.2 10.6h3.6V14H6.2zM10.8 10.6h3.7V14h-3.7z"/></g>`
);

export const lazyIcon = icon(
  'lazy',
  `<g ${PURPLE}><path d="M8.3 2.7C7.9 1.9 7.2 1.5 6.3 1.5c-1.7 0-2.6 1.1-2.9 2.9l-.3 1.7H1.6L1.4 7.3h1.5l-.9 5c-.1.8-.4 1.1-.9 1.1-.2 0-.4-.1-.6-.2L.2 14.3c.3.2.7.3 1.2.3 1.2 0 1.8-.8 2.1-2.4l.9-4.9h2l.2-1.2h-2l.3-1.6c.2-1.2.5-1.7 1.2-1.7.5 0 .8.2 1 .6z"/>` +
    '<path d="M8.2 6.6h1.6l1.3 2.2 2-2.2h1.7l-3 3.3 2 3.7h-1.6l-1.5-2.6-2.3 2.6H6.7l3.3-3.7z"/></g>'
);

export const frameIcon = icon(
  'frame',
  `<path ${GREY} fill-rule="evenodd" d="M8 1.2 14.2 4v8L8 14.8 1.8 12V4zM8 2.6 4.2 4.3 8 6l3.8-1.7zM3 5.2v6l4.4 2V7.2zm10 0L8.6 7.2v6l4.4-2z"/>`
);

export const brokenIcon = icon(
  'broken',
  `<path ${WARN} fill-rule="evenodd" d="M8 1.5 15.2 14H.8zM7.3 6l.2 4.2h1L8.7 6zm.7 5.1a.85.85 0 1 0 0 1.7.85.85 0 0 0 0-1.7z"/>`
);

export const fileIcon = icon('file', sheet(''));
export const textIcon = icon(
  'text',
  sheet(`<path ${GREY} d="M5.3 6.6h5.4v1H5.3zm0 2.2h5.4v1H5.3zm0 2.2h3.6v1H5.3z"/>`)
);
export const markdownIcon = icon(
  'markdown',
  sheet(`<path ${PURPLE} d="M5 12V7.2h1.2l1 1.5 1-1.5h1.2V12H8.2V9.3l-1 1.4-1-1.4V12zm5.1-2.2h.5V7.6h.8v2.2h.5l-.9 1.2z"/>`)
);
export const imageIcon = icon(
  'image',
  `<path ${PINK} fill-rule="evenodd" d="M1.5 2.5h13v11h-13zm1.2 1.2v7l3-3.6 2.5 2.8 1.8-1.8 3.3 3.5V3.7zM10.8 5a1.3 1.3 0 1 1 0 2.6 1.3 1.3 0 0 1 0-2.6z"/>`
);
export const pdfIcon = icon(
  'pdf',
  sheet(`<path ${PINK} d="M4.7 12V7.4h1.7c1 0 1.6.6 1.6 1.5s-.6 1.5-1.6 1.5h-.6V12zm1.1-2.5h.4c.5 0 .7-.2.7-.6s-.2-.6-.7-.6h-.4zM8.6 12V7.4h2.8v.9H9.7v1h1.5v.9H9.7V12z"/>`)
);
export const notebookIcon = icon(
  'notebook',
  `<path ${WARN} fill-rule="evenodd" d="M2.5 1h11v14h-11zm2.7 1.2v11.6h7.1V2.2zm1.5 2h4.2v2.4H6.7z"/>`
);

const BY_KIND: Readonly<Record<TreeKind, LabIcon>> = {
  root: rootIcon,
  area: areaIcon,
  directory: directoryIcon,
  array: arrayIcon,
  table: tableIcon,
  frame: frameIcon,
  lazy: lazyIcon,
  broken: brokenIcon,
  text: textIcon,
  markdown: markdownIcon,
  image: imageIcon,
  pdf: pdfIcon,
  notebook: notebookIcon,
  file: fileIcon
};

/** The icon of a row; one of a kind that is not known yet is a file. */
export function iconOf(kind: TreeKind): LabIcon {
  return BY_KIND[kind] ?? fileIcon;
}
