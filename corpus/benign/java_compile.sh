#!/bin/sh
# needs: javac java

printf 'class H { public static void main(String[] a) { System.out.println("hello"); } }\n' > H.java
javac H.java && java H
